#!/bin/sh
# words.sh - the plain English that the house speaks, and no line over 120 columns
#
# It prints each line that breaks a rule, and exits with 1 if there is one. A
# name that a released file or interface has keeps its words: see excused.
set -eu
cd "$(dirname "$0")/.."

forbidden='\b(anew|mend|mends|mended|whoever|whom|leavers|to be had|the own)\b'
# A uid, gid or id has no other name.
number="\b((user|person|group|principal|everybody|owner)s?'s? |(names?|users?) (and|or)( by)? )numbers?\b|\bnumbers? (and|or) (names?|groups?)"
british='\b(artefacts?|behaviours?|cancelled|centres?|colours?|defences?|favours?|honours?|labelled|learnt|licences?|misspelt|spoilt|neighbours?|signalled|towards)\b'
# The state that version 0.1.0 wrote, what it printed, and other people's texts.
# shellcheck disable=SC2016 # the backquotes are what CHANGELOG.md has
excused='^internal/refresh/answer\.go:.*savedFormer|^CHANGELOG\.md:.*`mend:`|^tests/words\.sh:'
texts() { git ls-files "$@" ':!LICENSE' ':!packaging/deb' ':!packaging/third-party.txt' ':!tests/words.sh'; }

fail=0
# shellcheck disable=SC2046 # file names in this repository hold no spaces
if LC_ALL=C.UTF-8 grep -nHwiE "$forbidden|$number|$british" $(texts) | grep -vE "$excused"; then
	echo 'words: write it plainer; the words are in docs/architecture.md and HACKING.md' >&2
	fail=1
fi
# shellcheck disable=SC2046
if LC_ALL=C.UTF-8 grep -nHE '^.{121,}' $(texts '*.go' '*.c' '*.h'); then
	echo 'words: lines over 120 columns' >&2
	fail=1
fi
exit $fail
