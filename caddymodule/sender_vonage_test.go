package caddymodule

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/sms"
)

const vonageApplication = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"

// vonageKey writes an application's key, and returns its path.
func vonageKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "private.key")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// provision loads the sender from its JSON, as Caddy does.
func (v *VonageSender) provision(text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	return v.Provision(caddy.Context{})
}

func TestVonageSendsThroughTheAPIThatIsConfigured(t *testing.T) {
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		asked = scheme + " " + r.URL.Path
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"message_uuid":"a","messages":[{"status":"0","message-id":"a"}],"request_id":"a"}`)
	}))
	defer server.Close()
	t.Setenv("TEST_VONAGE_URL", server.URL)
	t.Setenv("TEST_VONAGE_SECRET", "s3cr3t")
	application := fmt.Sprintf(`"application_id":%q,"private_key_file":%q`, vonageApplication, vonageKey(t))
	const account = `"api_key":"abcd1234","api_secret":"{env.TEST_VONAGE_SECRET}"`
	m := sms.Message{To: "+6281234567890", Text: "123456", Ref: "r", Brand: "Example"}
	for _, c := range []struct{ name, config, want string }{
		{"messages", `{` + application + `,"from":"Example","base_url":"{env.TEST_VONAGE_URL}"}`, "Bearer /v1/messages"},
		{"messages of an account", `{"api":"messages",` + account + `,"from":"Example","base_url":"{env.TEST_VONAGE_URL}"}`, "Basic /v1/messages"},
		{"sms", `{"api":"sms",` + account + `,"from":"Example","rest_url":"{env.TEST_VONAGE_URL}"}`, "Basic /sms/json"},
		{"sms in the body", `{"api":"sms",` + account + `,"credentials_in_body":true,"from":"Example","rest_url":"{env.TEST_VONAGE_URL}"}`, " /sms/json"},
		{"sms signed", `{"api":"sms","api_key":"abcd1234","signature_secret":"{env.TEST_VONAGE_SECRET}","signature_algorithm":"sha256","from":"Example","rest_url":"{env.TEST_VONAGE_URL}"}`, " /sms/json"},
		{"verify", `{"api":"verify",` + application + `,"base_url":"{env.TEST_VONAGE_URL}"}`, "Bearer /v2/verify"},
	} {
		v := new(VonageSender)
		if err := v.provision(c.config); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		sender, verifier := v.Open()
		if (sender == nil) == (verifier == nil) {
			t.Fatalf("%s: Open = %v, %v, want one of two", c.name, sender, verifier)
		}
		asked = ""
		var err error
		if sender != nil {
			_, err = sender.Send(t.Context(), m)
		} else {
			_, err = verifier.Start(t.Context(), m)
		}
		if err != nil || asked != c.want {
			t.Errorf("%s: %v after %q, want %q", c.name, err, asked, c.want)
		}
		// Both take reports.
		var opened any = sender
		if verifier != nil {
			opened = verifier
		}
		if _, ok := opened.(sms.Receiver); !ok {
			t.Errorf("%s: %T takes no reports", c.name, opened)
		}
		if text := fmt.Sprintf("%v %+v %#v", opened, opened, opened); strings.Contains(text, "s3cr3t") {
			t.Errorf("%s: it prints %s", c.name, text)
		}
	}
}

// What the Caddyfile cannot say, or not know, is refused at load.
func TestVonageSendersThatCannotSendAreRefusedAtLoad(t *testing.T) {
	t.Setenv("TEST_VONAGE_EMPTY", "")
	t.Setenv("TEST_VONAGE_FROM", "+62 s3cr3t")
	t.Setenv("TEST_VONAGE_TOKEN", "s3cr3t")
	t.Setenv("TEST_VONAGE_KEY", "-----BEGIN PRIVATE KEY-----\ns3cr3t\n-----END PRIVATE KEY-----\n")
	t.Setenv("TEST_VONAGE_KEY64", "s3cr3t/LS0tLS1CRUdJTg==")
	t.Setenv("TEST_VONAGE_URL", "http://s3cr3t.example")
	notKey := filepath.Join(t.TempDir(), "private.key")
	if err := os.WriteFile(notKey, []byte("s3cr3t"), 0o600); err != nil {
		t.Fatal(err)
	}
	const account = `"api_key":"abcd1234","api_secret":"x"`
	for _, c := range []struct{ name, config, want string }{
		{"nothing", `{}`, "there are no credentials"},
		{"an unknown api", `{"api":"voice"}`, `no api "voice": write messages, sms or verify`},
		{"the other host of sms", `{"api":"sms",` + account + `,"from":"A","base_url":"https://a.example"}`, "write rest_url"},
		{"the other host of messages", `{` + account + `,"from":"A","rest_url":"https://a.example"}`, "write base_url"},
		{"a variable that is not set", `{"api_key":"abcd1234","api_secret":"{env.TEST_VONAGE_EMPTY}","from":"A"}`, "reading api_secret: evaluated placeholder {env.TEST_VONAGE_EMPTY} is empty"},
		{"a key that is not there", `{"application_id":"` + vonageApplication + `","private_key_file":"/no/such/key","from":"A"}`, "reading private_key_file: no such file or directory: write the path"},
		{"a key in the place of its path", `{"application_id":"` + vonageApplication + `","private_key_file":"{env.TEST_VONAGE_KEY}","from":"A"}`, "private_key_file: it is the key itself: write the key into a file"},
		{"a key in the place of its path, in base64", `{"application_id":"` + vonageApplication + `","private_key_file":"{env.TEST_VONAGE_KEY64}","from":"A"}`, "private_key_file: "},
		{"a key that is none", `{"application_id":"` + vonageApplication + `","private_key_file":"` + notKey + `","from":"A"}`, "the private key is none of RSA"},
		{"a sender in a variable", `{` + account + `,"from":"{env.TEST_VONAGE_FROM}"}`, "from is no sender"},
		{"a token in a variable", `{"api":"sms",` + account + `,"from":"A","receipt_token":"{env.TEST_VONAGE_TOKEN}"}`, "receipt_token can be guessed"},
		{"a host in a variable", `{` + account + `,"from":"A","base_url":"{env.TEST_VONAGE_URL}"}`, "base_url is not https"},
		{"an algorithm that is not known", `{"api":"sms","api_key":"a","signature_secret":"x","signature_algorithm":"sha3","from":"A"}`, "md5hash, md5, sha1, sha256, sha512"},
		{"an algorithm for verify", `{"api":"verify",` + account + `,"signature_algorithm":"sha512"}`, "always HS256"},
	} {
		err := new(VonageSender).provision(c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "vonage: ") {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: the error %q repeats a secret", c.name, err)
		}
	}
}

// I8: the admin endpoint shows the configuration as it was written.
func TestInvariantI8TheDumpOfVonageHasPlaceholdersNotSecrets(t *testing.T) {
	t.Setenv("TEST_VONAGE_SECRET", "s3cr3t")
	v := new(VonageSender)
	if err := v.provision(`{"api_key":"abcd1234","api_secret":"{env.TEST_VONAGE_SECRET}","from":"A"}`); err != nil {
		t.Fatal(err)
	}
	dump, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(dump) + fmt.Sprintf("%v %+v %#v", v, v, v); strings.Contains(text, "s3cr3t") || !strings.Contains(text, "{env.TEST_VONAGE_SECRET}") {
		t.Errorf("the dump is %s", text)
	}
}
