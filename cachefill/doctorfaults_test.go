package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

func TestDoctorTakesFromARefreshWhatAPersonIsToLookAt(t *testing.T) {
	var findings []accounts.Finding
	for _, reason := range []accounts.Reason{accounts.HomeTaken, accounts.LocalUse, accounts.HostName, accounts.HostID,
		accounts.NameTaken, accounts.GroupMissing, accounts.RemovalsHeld, accounts.KeysRefused} {
		findings = append(findings, accounts.Finding{Kind: "user", DirectoryName: "al\nice", Reason: reason,
			Detail: string(reason), Remedy: "do " + string(reason)})
	}
	directory, homes, local := faultsOf(findings)
	if len(directory) != 3 || directory[0].Remedy != "do group-missing" || directory[1].What != "removals-held" ||
		!strings.Contains(directory[2].What, "keys-refused") {
		t.Errorf("directory: %+v", directory)
	}
	if len(homes) != 1 || homes[0].Remedy != "do home-taken" {
		t.Errorf("homes: %+v", homes)
	}
	if len(local) != 3 || local[0].What != "local-use" || local[1].Remedy != "do host-name" ||
		local[2].Remedy != "do host-id" {
		t.Errorf("local files: %+v", local)
	}
	for _, f := range slices.Concat(directory, homes, local) {
		if strings.Contains(f.What, "\n") {
			t.Errorf("%q is shown raw", f.What)
		}
	}
}
