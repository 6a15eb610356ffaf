package awsapi

import (
	"net/http"
	"net/netip"
	"net/url"
)

// metadataAddresses are those of the metadata services of an instance and of a
// container, which only the host itself can reach.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
var metadataAddresses = []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fd00:ec2::/32")}

// proxy is the environment's proxy for a request, except for one to a metadata
// service: a proxy that HTTP_PROXY names would ask its own.
func proxy(r *http.Request) (*url.URL, error) {
	if a, err := netip.ParseAddr(r.URL.Hostname()); err == nil {
		for _, own := range metadataAddresses {
			if own.Contains(a.WithZone("")) {
				return nil, nil
			}
		}
	}
	return http.ProxyFromEnvironment(r)
}
