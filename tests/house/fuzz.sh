#!/bin/sh
# fuzz.sh [JOBS]: builds tests/fuzz with libFuzzer and lets the programs share GENMOD_FUZZ_SECONDS (20) from their saved
# inputs on. What fails is left as build/fuzz/found-<name>-*: keep it in tests/fuzz/corpus/<name>.
cd "$(dirname "$0")/../.." || exit 1
if ! ls tests/fuzz/*_fuzz.cpp >/dev/null 2>&1; then
    echo "no tests/fuzz: skipped"
    exit 0
fi
cmake --preset fuzz && cmake --build --preset fuzz -j "${1:-2}" || exit 1

programs=$(ls tests/fuzz/*_fuzz.cpp | wc -l)
seconds=$((${GENMOD_FUZZ_SECONDS:-20} / programs + 1))
result=0
for file in tests/fuzz/*_fuzz.cpp; do
    program=$(basename "$file" .cpp)
    name=${program%_fuzz}
    mkdir -p "build/fuzz/new/$name"
    corpus=
    [ ! -d "tests/fuzz/corpus/$name" ] || corpus=tests/fuzz/corpus/$name
    # shellcheck disable=SC2086
    if ! build/fuzz/tests/"$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
            -verbosity=0 -artifact_prefix="build/fuzz/found-$name-" "build/fuzz/new/$name" $corpus; then
        echo "$program failed"
        result=1
    fi
done
exit $result
