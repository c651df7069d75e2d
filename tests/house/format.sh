#!/bin/sh
# The layout of every C++ file is what .clang-format says. Other versions than 14 differ in details: they only report.
cd "$(dirname "$0")/../.." || exit 1
if ! command -v clang-format >/dev/null; then
    echo "no clang-format here: skipped"
    exit 0
fi
find include tests examples benchmarks cmake \( -name '*.hpp' -o -name '*.cpp' \) ! -path '*/corpus/*' |
    xargs clang-format --dry-run -Werror && exit 0
case $(clang-format --version) in
    *"version 14."*) exit 1 ;;
    *) echo "clang-format is not version 14: only a remark"; exit 0 ;;
esac
