#!/bin/sh
# Builds genmod and runs its tests; installs what is missing first (Debian, Ubuntu).
#
#   sh tests/run.sh          g++, this machine's instruction set
#   sh tests/run.sh --all    also clang++ with warnings as errors, under the address and undefined behaviour sanitizers,
#                            every header alone, equal bits between compilers and instruction sets (x86-64's and, under
#                            qemu, aarch64's), layout, and twenty seconds of fuzzing where libFuzzer is there
#
# GENMOD_JOBS sets the number of parallel jobs. The last line reads "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
. cmake/install_packages.sh

all=
case ${1-} in
    "") ;;
    --all) all=yes ;;
    *) echo "usage: sh tests/run.sh [--all]" >&2; exit 2 ;;
esac

# One compiler per core, and per 1.5 GB of memory.
jobs=${GENMOD_JOBS:-$(nproc 2>/dev/null || echo 2)}
if [ -z "${GENMOD_JOBS-}" ] && [ -r /proc/meminfo ]; then
    fitting=$(awk '/MemAvailable/ { n = int($2 / 1500000); print n < 1 ? 1 : n }' /proc/meminfo)
    [ "$jobs" -le "$fitting" ] || jobs=$fitting
fi

passed=0
failed=0
logs=build/logs
mkdir -p "$logs"
begin=$(date +%s)

# stage NAME COMMAND... runs it and keeps its output in the log, says how long it took, and returns its result.
stage() {
    stage_name=$1
    shift
    stage_log=$logs/$(echo "$stage_name" | tr -c 'a-z0-9\n' '_').log
    stage_begin=$(date +%s)
    echo "== $stage_name"
    { "$@" 2>&1; echo $? >"$stage_log.code"; } | tee "$stage_log"
    stage_code=$(cat "$stage_log.code")
    rm -f "$stage_log.code"
    echo "== $stage_name: $(($(date +%s) - stage_begin)) s$([ "$stage_code" = 0 ] || echo ", failed")"
    return "$stage_code"
}

count() {   # count PASSED FAILED
    passed=$((passed + $1))
    failed=$((failed + $2))
}

# check NAME COMMAND...: a stage that is one test by itself.
check() {
    if stage "$@"; then count 1 0; else count 0 1; fi
}

# Adds up what CTest printed; a log without its summary is one failure.
count_ctest() {
    numbers=$(sed -n 's/^[0-9]*% tests passed, \([0-9]*\) tests\{0,1\} failed out of \([0-9]*\)$/\1 \2/p' "$1")
    if [ -z "$numbers" ]; then count 0 1; return; fi
    bad=${numbers% *}
    skipped=$(grep -c '([Ss]kipped)$\|(Disabled)$' "$1")
    count $((${numbers#* } - bad - skipped)) "$bad"
}

# suite PRESET: configure, build, test.
suite() {
    stage "$1: configure" cmake --preset "$1" || { count 0 1; return; }
    # -k 0: one broken test file does not hide the results of the others.
    stage "$1: build" cmake --build --preset "$1" --target genmod_tests -j "$jobs" -- -k 0 || count 0 1
    stage "$1: tests" ctest --preset "$1" -j "$jobs"
    count_ctest "$logs/$(echo "$1: tests" | tr -c 'a-z0-9\n' '_').log"
}

# alone NAME COMPILER [PATTERN]: each file compiles by itself.
alone() {
    stage "$1" sh tests/house/headers_alone.sh "$2" "$jobs" "${3-}"
    line=$(tail -n 1 "$stage_log")   # "N files, N failed"
    bad=$(echo "$line" | sed -n 's/^[0-9]* files, \([0-9]*\) failed$/\1/p')
    if [ -n "$bad" ]; then count $((${line%% *} - bad)) "$bad"; else count 0 1; fi
}

# shellcheck disable=SC2086  # lists of words
install_packages $packages_build $packages_examples $packages_tests ${all:+$packages_all} || exit 1

suite release
grep -h '^compile cost: ' build/release/Testing/Temporary/LastTest.log
if [ -n "$all" ]; then
    install_packages_if_offered $packages_sanitize $packages_cross
    suite asan   # clang++
    alone "headers alone" clang++
    for compiler in g++ clang++; do
        alone "programs that no test runs, $compiler" "$compiler" 'examples/(bring|compare|diffuse|explore|guide|score)_'
    done
    check "same bits in every build" sh tests/house/determinism.sh "$jobs"
    check "layout of the code" sh tests/house/format.sh
    if package_is_here $packages_sanitize; then
        check "twenty seconds of fuzzing" sh tests/house/fuzz.sh "$jobs"
    else
        echo "== this clang++ has no libFuzzer (libclang-rt-dev): the saved inputs were replayed, no new ones are tried"
    fi
fi

echo "== in all: $(($(date +%s) - begin)) s"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
