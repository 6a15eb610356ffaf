package main

import (
	"testing"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/config"
)

func TestTheConfigurationAndTheAccountsMeanTheSameBounds(t *testing.T) {
	if config.MinID != accounts.MinID || config.MaxID != accounts.MaxID {
		t.Errorf("config takes %d to %d, accounts %d to %d", config.MinID, config.MaxID, accounts.MinID, accounts.MaxID)
	}
}

func TestTheDefaultConfigurationMakesASoundPolicy(t *testing.T) {
	p := policyFrom(config.Default())
	if p.Confirm != 2 || p.MaxFraction != 0.2 || p.Shell != "/bin/bash" || p.NoLogin == "" || p.Range.Low != 2001000000 {
		t.Errorf("policy %+v", p)
	}
}
