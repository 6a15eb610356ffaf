package awsapi

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nss-iam/nss-iam/tests/emulator"
)

// Of a process of its own: net/http reads the environment's proxies once.
func TestAProxyIsNotAskedForTheMetadataService(t *testing.T) {
	if endpoint := os.Getenv("IAM_TEST_METADATA"); endpoint != "" {
		c, err := Open(context.Background(), Options{MetadataEndpoint: endpoint, Rate: 1000})
		if err != nil {
			fmt.Println("open:", err)
			return
		}
		fmt.Println("region:", c.Region())
		for _, address := range []string{"169.254.169.254", "169.254.170.2", "[fd00:ec2::254]", "[fd00:ec2::23]",
			"192.0.2.1", "iam.amazonaws.com"} {
			r, err := http.NewRequest(http.MethodGet, "http://"+address+"/", nil)
			if err != nil {
				fmt.Println(err)
				return
			}
			through, err := proxy(r)
			fmt.Println(address, through != nil, err)
		}
		return
	}
	var asked atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer trap.Close()
	e, err := emulator.Start(emulator.Options{Instance: emulator.Instance{Role: "host", Region: "eu-north-1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	// An address of this host that net/http does not take for one: it would not ask a proxy for 127.0.0.1.
	_, port, err := net.SplitHostPort(strings.TrimPrefix(e.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestAProxyIsNotAskedForTheMetadataService$")
	cmd.Env = []string{
		"IAM_TEST_METADATA=http://0.0.0.0:" + port, "HTTP_PROXY=" + trap.URL, "http_proxy=" + trap.URL, "HOME=/nonexistent",
		"AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "PATH=" + os.Getenv("PATH"),
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "region: eu-north-1\n") || asked.Load() != 0 {
		t.Errorf("%v, and the proxy was asked %d times\n%s", err, asked.Load(), out)
	}
	for _, want := range []string{
		"169.254.169.254 false", "169.254.170.2 false", "[fd00:ec2::254] false", "[fd00:ec2::23] false", "192.0.2.1 true",
		"iam.amazonaws.com true",
	} {
		if !strings.Contains(string(out), want+" <nil>\n") {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
}
