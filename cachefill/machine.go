package main

import (
	"os"
	"strings"
)

// machineFiles say which machine this is. An image that was not cleaned keeps
// the first one, so that the instance's id counts as well: the asset tag is it on
// EC2's Nitro, and cloud-init writes it.
var machineFiles = []string{"/etc/machine-id", "/sys/class/dmi/id/board_asset_tag", "/var/lib/cloud/data/instance-id"}

// machineID is which machine this is, or "" if no file says so.
func machineID() string {
	var ids []string
	for _, name := range machineFiles {
		b, err := os.ReadFile(name)
		if id := strings.TrimSpace(string(b)); err == nil && id != "" && len(id) <= 200 {
			ids = append(ids, id)
		}
	}
	return strings.Join(ids, " ")
}
