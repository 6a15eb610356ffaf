package directory

import "strings"

// FoldName returns a name of a user or group in the form in which two names are
// equal if the directory takes them for one: without regard to the case of
// letters. Only ASCII letters are folded: to Unicode, "ſ" is a letter s as well.
func FoldName(name string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, name)
}

// SameName reports whether the directory takes two names for one.
func SameName(a, b string) bool {
	return len(a) == len(b) && FoldName(a) == FoldName(b)
}

// NameCharacter reports whether a name of a user or group may have the
// character: IAM's alphabet.
func NameCharacter(c rune) bool {
	return letterOrDigit(c) || strings.ContainsRune("_+=,.@-", c)
}

func letterOrDigit(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
