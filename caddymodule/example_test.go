package caddymodule_test

import (
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
	file := filepath.Join(dir, "example.json")
	if err := os.WriteFile(file, adapted, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), validateVariable+"="+file, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("validate = %v\n%s", err, output)
	}
}

// An option that the example does not show is one that nobody finds.
func TestTheExampleCaddyfileHasEveryOption(t *testing.T) {
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		word, _, _ := strings.Cut(strings.TrimLeft(strings.TrimSpace(line), "#\t "), " ")
		known[strings.TrimSpace(word)] = true
	}
	for _, word := range []string{
		"store", "brand", "color", "logo", "languages", "support_url", "currency", "time_zone", "sms", "console", "countries", "timeout", "limit",
		"first_enrolment", "strict_totp", "identity", "cookie", "bearer", "host", "subject", "login", "email", "phone", "cache", "credential",
		"settings", "login_page", "prefix", "trusted_origin", "max_body", "protect", "path", "method", "factors", "max_age", "single_use", "group",
		"show", "anonymous", "unenrolled",
	} {
		if !known[word] {
			t.Errorf("Caddyfile.example does not show %s", word)
		}
	}
}
