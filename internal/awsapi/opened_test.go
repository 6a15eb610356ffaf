package awsapi

import (
	"context"
	"errors"
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
)

type counted int64

func (c counted) Stats() directory.Stats { return directory.Stats{Rate: float64(c)} }

func TestAClientIsOpenedOnceAndAgainAfterAFailure(t *testing.T) {
	var o Opened[counted]
	if s := o.Stats(); !s.Spare || s.Rate != 0 {
		t.Errorf("%+v before the first question; want calls to spare and no rate", s)
	}
	down, opened := errors.New("no network"), 0
	open := func(context.Context) (counted, error) {
		if opened++; opened == 1 {
			return 1, down
		}
		return counted(opened), nil
	}
	if c, err := o.Get(t.Context(), open); !errors.Is(err, down) || c != 0 || o.Stats().Rate != 0 {
		t.Errorf("%v, %v; want no client and %v", c, err, down)
	}
	for range 2 {
		if c, err := o.Get(t.Context(), open); err != nil || c != 2 || o.Stats().Rate != 2 {
			t.Errorf("client %v, %v; want the one of the second attempt", c, err)
		}
	}
}
