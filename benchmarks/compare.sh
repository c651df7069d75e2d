#!/bin/sh
# genmod beside PyTorch, Eigen, OpenBLAS and oneDNN: builds the programs, runs both sides by turns, prints a table.
#
#   sh benchmarks/compare.sh [--only NAME,...] [--peers NAME,...] [--quick] [--json FILE] [--markdown FILE]
#
# NAME is a row (conv_1x64x64x320_320, sd_unet_64) or a family of rows (conv, unet, sampler, sd). Missing packages come
# by apt-get; PyTorch goes into a virtual environment in build/bench, unless GENMOD_PEERS_PYTHON names a
# python that has torch (and diffusers). A peer that cannot be had is named and left out. Exit codes: 0 done, 1 failed,
# 2 wrong options, 130 interrupted.
set -u
# Files are named from where the caller stands.
absolute() { case $1 in /*|"") echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
for argument in "$@"; do
    shift
    case ${previous-} in --json|--markdown) argument=$(absolute "$argument") ;; esac
    previous=$argument
    case $argument in
        --json=*) argument=--json=$(absolute "${argument#*=}") ;;
        --markdown=*) argument=--markdown=$(absolute "${argument#*=}") ;;
    esac
    set -- "$@" "$argument"
done
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
. cmake/install_packages.sh

command -v python3 >/dev/null 2>&1 || install_packages python3 >&2 || exit 1
python3 benchmarks/compare.py --check "$@" || exit $?
case " $* " in *" --help "*|*" -h "*) exit 0 ;; esac

# shellcheck disable=SC2086  # one word per package
install_packages $packages_build $packages_benchmarks >&2 || exit 1
# shellcheck disable=SC2086
install_packages_if_offered $packages_peers >&2

mkdir -p build/bench
log=build/bench/compare.log
echo "compare.sh: building (log: $log)" >&2
if ! { cmake --preset release -B build/bench -DGENMOD_BUILD_TESTS=OFF -DGENMOD_BUILD_EXAMPLES=OFF &&
        cmake --build build/bench --target benchmarks -j "${GENMOD_JOBS:-1}"; } >$log 2>&1; then
    tail -20 $log >&2
    exit 1
fi

if [ -z "${GENMOD_PEERS_PYTHON-}" ]; then
    GENMOD_PEERS_PYTHON=$PWD/build/bench/venv/bin/python
    if [ ! -f build/bench/venv/complete ]; then
        echo "compare.sh: installing PyTorch and diffusers into build/bench/venv (log: $log)" >&2
        if python3 -m venv build/bench/venv >>$log 2>&1 &&
            "$GENMOD_PEERS_PYTHON" -m pip install -q torch diffusers >>$log 2>&1; then
            # Two of the samplers need these.
            "$GENMOD_PEERS_PYTHON" -m pip install -q scipy torchsde >>$log 2>&1
            touch build/bench/venv/complete
        else
            echo "compare.sh: PyTorch could not be installed: left out" >&2
        fi
    fi
fi
export GENMOD_PEERS_PYTHON
exec python3 benchmarks/compare.py "$@"
