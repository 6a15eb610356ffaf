package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestASigningKeyFromSSM(t *testing.T) {
	signer, text, err := NewKey("x")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Name           string
			WithDecryption bool
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil ||
			r.Header.Get("X-Amz-Target") != "AmazonSSM.GetParameter" || !in.WithDecryption {
			t.Errorf("asked %s for %+v: %v", r.Header.Get("X-Amz-Target"), in, err)
		}
		answer := func(kind, value string) {
			_ = json.NewEncoder(w).Encode(map[string]any{"Parameter": map[string]string{"Name": in.Name, "Type": kind,
				"Value": value}})
		}
		fail := func(code string) {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": "no"})
		}
		switch in.Name {
		case "/nss-iam/signing":
			answer("SecureString", string(text))
		case "plain":
			answer("String", string(text))
		case "rubbish":
			answer("SecureString", "rubbish")
		case "denied":
			fail("AccessDeniedException")
		default:
			fail("ParameterNotFound")
		}
	}))
	defer server.Close()
	configuration := func(context.Context) (aws.Config, error) { return configurationOf(server), nil }
	got, err := LoadSigner(context.Background(), "ssm:///nss-iam/signing", configuration)
	if err != nil || got.String() != signer.String() {
		t.Fatalf("got %v, %v", got, err)
	}
	for name, says := range map[string]string{
		"plain": "not a SecureString", "rubbish": "no private key", "denied": "kms:Decrypt",
		"missing": `no parameter "missing" in region eu-central-1`,
	} {
		_, err := LoadSigner(context.Background(), "ssm://"+name, configuration)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", name, err, says)
		}
	}
	broken := errors.New("no region")
	if _, err := LoadSigner(context.Background(), "ssm://x",
		func(context.Context) (aws.Config, error) { return aws.Config{}, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := LoadSigner(context.Background(), "/nowhere/key", nil); err == nil ||
		!strings.Contains(err.Error(), `"/nowhere/key"`) {
		t.Errorf("got %v", err)
	}
}
