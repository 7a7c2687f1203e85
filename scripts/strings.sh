#!/usr/bin/env bash
# Prints every user-facing text: messages from the sources, then the help of every command.
#   scripts/strings.sh [FOLDER]     default: src
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck disable=SC2016 # the dollar signs are those of awk
git ls-files -z -- "${1:-src}" | grep -z '\.rs$' | grep -zv '/tests\.rs$' | xargs -0 awk '
    FNR == 1 { in_tests = 0 }
    /#\[cfg\(test\)\]/ { in_tests = 1 }
    in_tests || /^ *\/\// || /expect\("/ || /reason = "/ { next }
    {
        line = $0
        # A literal with a blank between words is a text; others are names, keys and SQL fragments of one word.
        while (match(line, /"([^"\\]|\\.)*"/)) {
            text = substr(line, RSTART, RLENGTH)
            if (text ~ /[a-z]+[^"]* [^"]*[a-z]/) printf "%s:%d: %s\n", FILENAME, FNR, text
            line = substr(line, RSTART + RLENGTH)
        }
    }'
[ "${1:-src}" = src ] || exit 0
for page in man/*.1; do
    printf '\n== %s\n' "$page"
    man -l "$page" 2>/dev/null | col -b
done
