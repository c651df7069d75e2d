#!/bin/sh
# Builds the examples and runs two of them: pictures from a trained model, and training one. Installs what is missing first
# (Debian, Ubuntu).
set -eu
cd "$(dirname "$0")/.."
. cmake/install_packages.sh
# shellcheck disable=SC2086  # lists of words
install_packages $packages_build $packages_examples

cmake --preset release
cmake --build --preset release --target sample_images train_diffusion

# ---- what it runs
build/release/examples/sample_images
build/release/examples/train_diffusion
