package caddymodule_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Operators begin with a copy of it.
func TestTheExampleCaddyfileIsValid(t *testing.T) {
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if string(caddyfile.Format(text)) != string(text) {
		t.Error("`stepgate fmt` would change Caddyfile.example")
	}
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": "Caddyfile.example"})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Adapt = %v, %v", warnings, err)
	}
	dir := t.TempDir()
	file, key := filepath.Join(dir, "example.json"), filepath.Join(dir, "vonage.pem")
	adapted = bytes.ReplaceAll(adapted, []byte("/run/secrets/vonage.pem"), []byte(key))
	if err := os.WriteFile(key, newPrivateKey(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, adapted, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), validateVariable+"="+file, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir,
		"VONAGE_API_KEY=abcd1234", "VONAGE_APPLICATION_ID=aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab", "VONAGE_SIGNATURE_SECRET="+strings.Repeat("s", 32))
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("validate = %v\n%s", err, output)
	}
}

// newPrivateKey returns the private key of an application at Vonage, in PEM.
func newPrivateKey(t *testing.T) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// known returns the options of a block: the parser names them all when it meets a
// word that is like none of them. around has %s where the block's content stands.
func known(t *testing.T, around string) []string {
	t.Helper()
	text := strings.Replace(around, "%s", "zzzzzzzzzzzz", 1)
	_, list, ok := strings.Cut(adapted(t, text), "write one of ")
	if !ok {
		t.Fatalf("the parser lists no options in\n%s\n%s", text, adapted(t, text))
	}
	list, _, _ = strings.Cut(list, ", at Caddyfile:")
	return strings.Split(list, ", ")
}

// An option that the example does not show is one that nobody finds.
func TestTheExampleCaddyfileHasEveryOption(t *testing.T) {
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		word, _, _ := strings.Cut(strings.TrimLeft(strings.TrimSpace(line), "#\t "), " ")
		shown[strings.TrimSpace(word)] = true
	}
	const site = "{\n\tstepgate {\n\t\tbrand x\n\t}\n}\n\nhttp://a.example {\n\tstep_up {\n"
	for _, block := range []string{
		"{\n\tstepgate {\n%s\n}\n}",
		"{\n\tstepgate {\n\t\tbrand x {\n%s\n}\n}\n}",
		"{\n\tstepgate {\n\t\tsms {\n%s\n}\n}\n}",
		"{\n\tstepgate {\n\t\tsms {\n\t\t\twebhook {\n%s\n}\n}\n}\n}",
		"{\n\tstepgate {\n\t\tsms {\n\t\t\tvonage {\n%s\n}\n}\n}\n}",
		"{\n\tstepgate {\n\t\tsms {\n\t\t\tconversion {\n%s\n}\n}\n}\n}",
		"{\n\tstepgate {\n\t\tnotify https://a {\n%s\n}\n}\n}",
		site + "%s\n}\n}",
		site + "identity upstream http://a {\n%s\n}\n}\n}",
		site + "identity jwt {\n%s\n}\n}\n}",
		site + "identity placeholder {http.auth.user.id} {\n%s\n}\n}\n}",
		site + "protect a {\n%s\n}\n}\n}",
	} {
		for _, word := range known(t, block) {
			// The inbox belongs to these tests, and the dangerous one to nobody's example.
			if word != "inbox" && word != "unsafe_header" && !shown[word] {
				t.Errorf("Caddyfile.example does not show %s", word)
			}
		}
	}
}
