#!/bin/sh
# ops_checked.sh OPS_TESTS: each public function of ops/ has passed a gradient check under its name, and each that takes
# a Dual a tangent check. Runs the tests of ops/, which leave the names in a file.
tests=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

GENMOD_CHECKED_OPS=$folder/notes "$tests" >"$folder/output" || { tail -n 40 "$folder/output"; exit 1; }
sort -u "$folder/notes" >"$folder/checked"

# "gradient <name>" for functions that return Vars, "tangent <name>" for those that return Duals.
cd "$(dirname "$0")/../.." || exit 1
awk '/namespace detail \{/ { hidden = 1 }
     /\}  \/\/ namespace detail/ { hidden = 0 }
     !hidden && /^(std::vector<)?(Var|Dual)<T>>? [a-z_0-9]+\(/ {
         kind = /Dual<T>>? / ? "tangent" : "gradient"
         sub(/^[^ ]* /, ""); sub(/\(.*/, "")
         if ($0 !~ /^operator/) print kind, $0
     }' include/genmod/ops/*.hpp | sort -u >"$folder/public"

missing=$(comm -23 "$folder/public" "$folder/checked")
[ -z "$missing" ] || echo "without a check in tests/ops:"
[ -z "$missing" ] || echo "$missing"
echo "$(wc -l <"$folder/public") checks expected, $(comm -12 "$folder/public" "$folder/checked" | wc -l) found"
[ -z "$missing" ] && [ -s "$folder/public" ]
