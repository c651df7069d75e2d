#!/bin/sh
# consume.sh HOW SOURCE BUILD SCRATCH COMPILER: builds and runs program.cpp the way a user would get at genmod, HOW being
#   installed       find_package and pkg-config after `cmake --install BUILD`
#   subdirectory    add_subdirectory(SOURCE)
#   fetched         FetchContent from the path SOURCE
#   one_line        the line in the README that begins with "g++ -std=c++20"
set -eu
how=$1 source=$2 build=$3 scratch=$4/$1 compiler=$5
rm -rf "$scratch"
mkdir -p "$scratch"

# The user's own flags: an instruction set and little optimisation, to be quick.
flags=-O0
if [ "$(uname -m)" = x86_64 ]; then flags="-O0 -march=x86-64-v3"; fi
runs() {
    if [ "$(uname -m)" = x86_64 ] && ! grep -q ' avx2 ' /proc/cpuinfo; then return 0; fi
    "$@"
}

case $how in
    installed)
        cmake --install "$build" --prefix "$scratch/prefix" >"$scratch/install.log"
        # -march comes from genmod::compiled for the program that links it.
        cmake -G Ninja -S "$source/tests/consumer/installed" -B "$scratch/build" -DCMAKE_CXX_COMPILER="$compiler" \
            -DCMAKE_PREFIX_PATH="$scratch/prefix" -DCMAKE_CXX_FLAGS=-O0
        cmake --build "$scratch/build" -j 1
        "$scratch/build/program"
        "$scratch/build/program_compiled"

        PKG_CONFIG_PATH=$(find "$scratch/prefix" -type d -name pkgconfig)
        export PKG_CONFIG_PATH
        [ "$(pkg-config --modversion genmod)" = "$("$scratch/build/program" | sed 's/genmod \(.*\):.*/\1/')" ]
        # shellcheck disable=SC2046
        "$compiler" $flags $(pkg-config --cflags genmod) "$source/tests/consumer/program.cpp" \
            $(pkg-config --libs genmod) -o "$scratch/by_pkg_config"
        runs "$scratch/by_pkg_config"
        ;;
    subdirectory | fetched)
        cmake -G Ninja -S "$source/tests/consumer/nested" -B "$scratch/build" -DCMAKE_CXX_COMPILER="$compiler" \
            -DHOW="$how" -DGENMOD_SOURCE="$source" -DCMAKE_CXX_FLAGS="$flags"
        cmake --build "$scratch/build" -j 1
        runs "$scratch/build/programs/program"
        ;;
    one_line)
        line=$(sed -n 's/^ *\(g++ -std=c++20 .*\)$/\1/p' "$source/README.md" 2>/dev/null | head -n 1)
        [ -n "$line" ] || { echo "the README has no such line"; exit 1; }
        echo "$line"
        ln -s "$source/include" "$scratch/include"
        cp "$source/tests/consumer/program.cpp" "$scratch"
        cd "$scratch"
        sh -c "$line"
        ./program
        # The program that the README shows compiles too.
        sed -n '/^```cpp$/,/^```$/p' "$source/README.md" | sed '/^```/d' >shown.cpp
        [ -s shown.cpp ]
        sh -c "$(echo "$line" | sed 's/program.cpp -o program/-fsyntax-only shown.cpp/')"
        ;;
    *)
        echo "consume.sh: unknown way: $how" >&2
        exit 2
        ;;
esac
