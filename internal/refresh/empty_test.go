package refresh

import (
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
)

func TestAnAnswerWithoutAnybodyIsCountedOnce(t *testing.T) {
	first, second := directory.Origin{Address: "a", Generation: 1}, directory.Origin{Address: "a", Generation: 2}
	for _, c := range []struct {
		name    string
		before  emptyAnswers
		origin  directory.Origin
		rebuild bool
		want    int
	}{
		{"the first of all", emptyAnswers{}, first, false, 0},
		{"the next generation", emptyAnswers{1, first}, second, false, 1},
		{"the same generation, read again after a restart", emptyAnswers{1, first}, first, false, 0},
		{"a rebuild", emptyAnswers{2, first}, first, true, 2},
		{"IAM, whose answers have no generation", emptyAnswers{1, directory.Origin{}}, directory.Origin{}, false, 1},
	} {
		if got := c.before.before(c.origin, c.rebuild); got != c.want {
			t.Errorf("%s: %d came before, want %d", c.name, got, c.want)
		}
	}
}
