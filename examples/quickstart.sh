#!/bin/sh
# Builds two examples and runs them: pictures of ten classes from a trained model, and training one for some seconds.
# Installs what is missing first (Debian, Ubuntu). Writes PNGs into the folder quickstart/.
set -eu
cd "$(dirname "$0")/.."
. cmake/install_packages.sh
# shellcheck disable=SC2086  # lists of words
install_packages $packages_build $packages_examples

jobs=$(nproc 2>/dev/null || echo 2)
cmake --preset release
cmake --build --preset release --target sample_images train_diffusion -j "$jobs"

mkdir -p quickstart
echo "== drawing all ten classes of Fashion-MNIST with the model inside the program"
build/release/examples/sample_images -b 8 -o quickstart/samples.png --animation quickstart/way_from_noise.png
echo "== training a small model of our own for some 20 seconds"
build/release/examples/train_diffusion --seconds 20 --width 16 --mults 1 2 --attention 7 --batch 32 \
    --output quickstart/own_model.safetensors --samples quickstart/own_samples.png

cat <<'TEXT'

written, in quickstart/:
  samples.png          eight pictures of each class; way_from_noise.png, an animation, shows how they came to be
  own_samples.png      what twenty seconds of training know
  own_model.safetensors
try next, in build/release/examples/:
  sample_images sneaker bag -b 16 --seed 7 --cfg-scale 3 --output mine.png
  train_diffusion --steps 5000 --output better.safetensors     (some twenty minutes; --resume after Ctrl-C)
the others, each a short lesson, are built by
  cmake --build --preset release --target diffuse_points explore_tensors bring_your_own train_vae train_flow train_gan
TEXT
