#!/bin/sh
# Builds tests/determinism/hash.cpp with both compilers for two instruction sets, runs it with one and with three threads,
# and compares what it prints: all must be equal, line by line. On x86-64 a cross compiler for aarch64 and qemu's emulator
# join in where they are installed.
cd "$(dirname "$0")/../.." || exit 1
if [ ! -f tests/determinism/hash.cpp ]; then
    echo "no tests/determinism/hash.cpp: skipped"
    exit 0
fi
out=build/determinism
mkdir -p $out
rm -f $out/*.txt

flags="-std=c++20 -O2 -fopenmp -ffp-contract=off -Iinclude -I."
for folder in /usr/include/eigen3 /usr/include/stb /usr/local/include/eigen3 /usr/local/include/stb; do
    [ ! -d $folder ] || flags="$flags -isystem $folder"
done

sets=native
if [ "$(uname -m)" = x86_64 ]; then
    sets=
    if grep -q '^flags.* avx2 ' /proc/cpuinfo && grep -q '^flags.* fma ' /proc/cpuinfo; then sets=x86-64-v3; fi
    if grep -q '^flags.* avx512bw ' /proc/cpuinfo && grep -q '^flags.* avx512vl ' /proc/cpuinfo; then
        sets="$sets x86-64-v4"
    else
        echo "this CPU has no AVX-512: x86-64-v4 is left out"
    fi
    if grep -q '^flags.* amx_bf16 ' /proc/cpuinfo; then
        sets="$sets sapphirerapids"
    else
        echo "this CPU has no AMX: sapphirerapids is left out"
    fi
    if [ -z "$sets" ]; then
        echo "this CPU has no fused multiply-add: skipped"
        exit 0
    fi
fi

# Meanwhile. Headers that are the same for every processor (png.h, zlib.h) come last, behind the cross compiler's own.
emulated=
if [ "$(uname -m)" = x86_64 ] && command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null; then
    # shellcheck disable=SC2086
    { aarch64-linux-gnu-g++ $flags -idirafter /usr/include tests/determinism/hash.cpp -o $out/aarch64 &&
        OMP_NUM_THREADS=3 qemu-aarch64 -L /usr/aarch64-linux-gnu $out/aarch64 >$out/aarch64-3.txt; } &
    emulated=$!
else
    echo "no cross compiler for aarch64, or no qemu-aarch64: left out"
fi

for compiler in g++ clang++; do
    for march in $sets; do
        echo "$compiler $march"
    done
done >$out/builds
# shellcheck disable=SC2086
xargs -P "${1:-2}" -L 1 sh -c '
    '"${CCACHE:-$(command -v ccache)}"' $0 '"$flags"' -march=$1 -c tests/determinism/hash.cpp -o '$out'/$0-$1.o &&
    $0 -fopenmp '$out'/$0-$1.o -o '$out'/$0-$1' <$out/builds || exit 1

while read -r compiler march; do
    for threads in 1 3; do
        OMP_NUM_THREADS=$threads $out/$compiler-$march >$out/$compiler-$march-$threads.txt || exit 1
    done
done <$out/builds

if [ -n "$emulated" ]; then wait "$emulated" || exit 1; fi

result=0
first=
for file in "$out"/*.txt; do
    if [ -z "$first" ]; then
        first=$file
        cat "$first"
    elif ! cmp -s "$first" "$file"; then
        echo "differ: $first and $file"
        diff "$first" "$file"
        result=1
    fi
done
echo "compared $(find $out -name '*.txt' | wc -l) runs"
exit $result
