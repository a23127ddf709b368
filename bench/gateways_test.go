package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A configuration that Stepgate refuses would show only when somebody measures.
func TestTheGatewaysAreConfiguredAsStepgateWants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds Stepgate")
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "stepgate")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/stepgate/stepgate/cmd/stepgate").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	for _, g := range gateways {
		config := filepath.Join(dir, "Caddyfile")
		if err := os.WriteFile(config, []byte(g.caddyfile("9080", "127.0.0.1:8080")), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), bin, "validate", "--config", config)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", g.name, err, out)
		}
	}
	if g := gateways[guarded]; !g.closed {
		t.Errorf("requests carry the cookies of %q, which needs none", g.name)
	}
	if first := gateways[0]; first.rule != "" || strings.Contains(first.caddyfile("9080", "x"), "step") {
		t.Errorf("%q is no plain Caddy", first.name)
	}
}
