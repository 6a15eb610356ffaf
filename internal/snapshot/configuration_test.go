package snapshot

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTheRegionIsTheConfiguredOneElseTheEnvironmentsElseTheInstances(t *testing.T) {
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			_, _ = w.Write([]byte("token"))
		case strings.HasSuffix(r.URL.Path, "/instance-identity/document") &&
			r.Header.Get("X-Aws-Ec2-Metadata-Token") == "token":
			_, _ = w.Write([]byte(`{"region":"ap-south-1"}`))
		default:
			http.NotFound(w, r)
		}
	}))
	defer metadata.Close()
	none := httptest.NewServer(http.NotFoundHandler())
	defer none.Close()
	for _, c := range []struct {
		name, configured, environment, service string
		want                                   string // "": an error
	}{
		{"the configuration's", "eu-west-1", "us-east-1", metadata.URL, "eu-west-1"},
		{"the environment's", "", "us-east-1", metadata.URL, "us-east-1"},
		{"the instance's", "", "", metadata.URL, "ap-south-1"},
		{"nobody's", "", "", none.URL, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			t.Setenv("AWS_REGION", c.environment)
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", c.service)
			got, err := Configuration(t.Context(), c.configured, "")
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), "set source.region") {
					t.Errorf("got %v, want the remedy", err)
				}
				return
			}
			if err != nil || got.Region != c.want || got.BaseEndpoint != nil {
				t.Errorf("region %q, endpoint %v, %v; want %q without an endpoint", got.Region, got.BaseEndpoint, err, c.want)
			}
		})
	}
}

func TestAConfiguredEndpointIsUsedAndABrokenEnvironmentIsAnError(t *testing.T) {
	isolate(t)
	got, err := Configuration(context.Background(), "eu-west-1", "http://127.0.0.1:2")
	if err != nil || got.BaseEndpoint == nil || *got.BaseEndpoint != "http://127.0.0.1:2" {
		t.Errorf("endpoint %v, %v", got.BaseEndpoint, err)
	}
	t.Setenv("AWS_PROFILE", "nobody-has-this")
	if _, err := Configuration(context.Background(), "eu-west-1", ""); err == nil ||
		!strings.Contains(err.Error(), "correct the AWS_* environment") {
		t.Errorf("a profile that is not there: %v", err)
	}
}

// isolate keeps the machine's own AWS settings out of a test.
func isolate(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
		"AWS_CONFIG_FILE",
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
}
