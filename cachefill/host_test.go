package main

import (
	"slices"
	"testing"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/keys"
)

func TestTheConfigurationAndTheAccountsMeanTheSameBounds(t *testing.T) {
	if config.MinID != accounts.MinID || config.MaxID != accounts.MaxID {
		t.Errorf("config takes %d to %d, accounts %d to %d", config.MinID, config.MaxID, accounts.MinID, accounts.MaxID)
	}
}

func TestTheConfigurationTakesTheKeyTypesAndOptionsThatCanBeWritten(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want []string
	}{{"types", config.KeyTypes, keys.Types()}, {"options", config.KeyOptions, keys.Restrictions()}} {
		if got, want := slices.Sorted(slices.Values(c.got)), slices.Sorted(slices.Values(c.want)); !slices.Equal(got, want) {
			t.Errorf("%s: the configuration takes %q, package keys writes %q", c.name, got, want)
		}
	}
}

func TestTheDefaultConfigurationMakesASoundPolicy(t *testing.T) {
	p := policyFrom(config.Default())
	if p.Confirm != 2 || p.MaxFraction != 0.2 || p.Shell != "/bin/bash" || p.NoLogin == "" || p.Range.Low != 2001000000 {
		t.Errorf("policy %+v", p)
	}
}
