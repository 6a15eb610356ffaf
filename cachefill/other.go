package main

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/health"
)

// loadOwn is loadConfig for a command. A configuration that is not the host's own
// and names no cache folder has one to itself: what is tried with it changes
// nothing that the host serves, remembers or reports.
func loadOwn(name string) (config.Config, error) {
	c, err := loadConfig(name)
	if c.Cache.Dir == cacheDir && !isHostsOwn(name) {
		c.Cache.Dir = folderOf(name)
	}
	return c, err
}

// others is the folder, in the host's own cache folder, that has those of other
// configurations.
const others = "other"

// folderOf is the cache folder of a configuration that is not the host's own.
func folderOf(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	return filepath.Join(cacheDir, others, fmt.Sprintf("%x", sha256.Sum256([]byte(name)))[:16])
}

// readsConfig are the commands in remedies that read the configuration.
var readsConfig = regexp.MustCompile(`\biam-cachefill (check-config|doctor|explain|publish|refresh)\b`)

// naming completes a remedy for a configuration that is not the host's own: as it is, it
// would be done to the host's.
func naming(configFile, remedy string) string {
	if remedy == "" || isHostsOwn(configFile) {
		return remedy
	}
	return readsConfig.ReplaceAllStringFunc(remedy, func(command string) string {
		return command + " --config " + configFile
	})
}

// withConfig completes the remedies of findings.
func withConfig(configFile string, findings []health.Finding) []health.Finding {
	for i := range findings {
		findings[i].Fix = naming(configFile, findings[i].Fix)
	}
	return findings
}

// servesHost reports whether a configuration fills the cache that the host answers
// from. Only then its people have homes and processes here.
func servesHost(c config.Config) bool { return c.Cache.Dir == cacheDir }

// spoilsMetrics reports whether a configuration that is not the host's own would
// write its figures over the host's.
func spoilsMetrics(c config.Config) bool {
	if servesHost(c) {
		return false
	}
	host, _ := loadConfig(configPath) // a wrong one has what could be read of it
	return c.Metrics.TextFile == host.Metrics.TextFile
}
