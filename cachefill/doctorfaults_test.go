package main

import (
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

func TestDoctorTakesFromARefreshWhatThisHostCanPutRight(t *testing.T) {
	var findings []accounts.Finding
	for _, reason := range []accounts.Reason{accounts.HomeTaken, accounts.LocalUse, accounts.HostName, accounts.HostID,
		accounts.NameTaken, accounts.GroupMissing} {
		findings = append(findings, accounts.Finding{Kind: "user", DirectoryName: "al\nice", Reason: reason,
			Detail: string(reason), Remedy: "do " + string(reason)})
	}
	homes, local := faultsOf(findings)
	if len(homes) != 1 || homes[0].Remedy != "do home-taken" {
		t.Errorf("homes: %+v", homes)
	}
	if len(local) != 3 || local[0].What != "local-use" || local[1].Remedy != "do host-name" ||
		local[2].Remedy != "do host-id" {
		t.Errorf("local files: %+v", local)
	}
	for _, f := range append(homes, local...) {
		if strings.Contains(f.What, "\n") {
			t.Errorf("%q is shown raw", f.What)
		}
	}
}
