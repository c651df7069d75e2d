#!/bin/sh
# headers_alone.sh COMPILER [JOBS [PATTERN]]: every header compiles as the only line of a file, and every example and
# benchmark (or those whose names begin with PATTERN of grep -E), all without warnings. The kernels and the umbrella bring
# their definitions along; the others are seen as with genmod::compiled, which is quicker. What includes core/tensor.hpp,
# itself or by others, gets it precompiled: all of its declarations are there anyway.
cd "$(dirname "$0")/../.." || exit 1
compiler=$1
jobs=${2:-2}
pattern=${3:-}

flags="-std=c++20 -fsyntax-only -fopenmp -ffp-contract=off -Iinclude -I."
flags="$flags -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -x c++ -"
for path in /usr/include/eigen3 /usr/include/stb /usr/local/include/eigen3 /usr/local/include/stb; do
    [ ! -d $path ] || flags="-isystem $path $flags"
done
export compiler flags

if [ "$(uname -m)" = x86_64 ]; then flags="-march=x86-64-v3 $flags"; fi

list() {
    {
        find include/genmod -name '*.hpp' ! -path '*/dist/*' ! -name '*macros_p*.hpp' | sort
        find examples benchmarks -maxdepth 1 -name '*.cpp' | sort
    } | grep -E "^$pattern"
}
out=build/alone
mkdir -p $out
common=genmod/core/tensor.hpp
# shellcheck disable=SC2086
echo "#include \"$common\"" >$out/common.hpp &&
    $compiler -DGENMOD_COMPILED $(echo "$flags" | sed 's/-fsyntax-only//; s/-x c++ -$//') -x c++-header $out/common.hpp \
        -o $out/common.hpp.gch || exit 1

# Of the pairs "file included", the files that lead to `common`.
list | sed 's,^include/,,' >$out/files
grep -rHo '^#include "[^"]*"' include/genmod examples benchmarks --include='*.[ch]pp' |
    sed 's,^include/,,; s,:#include ", ,; s,"$,,' |
    awk -v common=$common '{ from[NR] = $1; to[NR] = $2 }
        END {
            reaches[common] = 1
            do {
                more = 0
                for (k = 1; k <= NR; ++k)
                    if ((to[k] in reaches) && !(from[k] in reaches)) { reaches[from[k]] = 1; more = 1 }
            } while (more)
            delete reaches[common]
            for (file in reaches) print file
        }' >$out/reaching

failed=$(while read -r file; do
    case $file in
        genmod/kernels/impl/*) define=-DGENMOD_COMPILED ;;
        genmod/kernels/*|genmod/genmod.hpp) define=-UGENMOD_COMPILED ;;
        *) define=-DGENMOD_COMPILED ;;
    esac
    if [ $define = -DGENMOD_COMPILED ] && grep -qxF "$file" $out/reaching; then define="$define -include $out/common.hpp"; fi
    echo "$file $define"
done <$out/files | xargs -P "$jobs" -L 1 sh -c '
        file=$0
        echo "#include \"$file\"" | $compiler "$@" $flags >&2 || echo "$file"')
total=$(list | wc -l)

for header in $failed; do echo "does not compile alone with $compiler: $header"; done
echo "$total files, $(echo "$failed" | grep -c .) failed"
[ -z "$failed" ]
