#!/bin/sh
# headers_alone.sh COMPILER [JOBS]: every header compiles as the only line of a file, and every example and benchmark, all
# without warnings. The kernels and the umbrella bring their definitions along; the others are seen as with
# genmod::compiled, which is quicker.
cd "$(dirname "$0")/../.." || exit 1
compiler=$1
jobs=${2:-2}

flags="-std=c++20 -fsyntax-only -fopenmp -ffp-contract=off -Iinclude -I."
flags="$flags -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -x c++ -"
for folder in /usr/include/eigen3 /usr/include/stb /usr/local/include/eigen3 /usr/local/include/stb; do
    [ ! -d $folder ] || flags="-isystem $folder $flags"
done
export compiler flags

if [ "$(uname -m)" = x86_64 ]; then flags="-march=x86-64-v3 $flags"; fi

list() {
    find include/genmod -name '*.hpp' ! -path '*/dist/*' ! -name '*macros_p*.hpp' | sort
    find examples benchmarks -maxdepth 1 -name '*.cpp' | sort
}
# shellcheck disable=SC2016  # for the inner shell
failed=$(list | xargs -P "$jobs" -I{} sh -c '
        header={}
        case $header in
            */kernels/impl/*) define=-DGENMOD_COMPILED ;;
            */kernels/*|*/genmod.hpp) define= ;;
            *) define=-DGENMOD_COMPILED ;;
        esac
        echo "#include \"${header#include/}\"" | $compiler $define $flags >&2 || echo "$header"')
total=$(list | wc -l)

for header in $failed; do echo "does not compile alone with $compiler: $header"; done
echo "$total files, $(echo "$failed" | grep -c .) failed"
[ -z "$failed" ]
