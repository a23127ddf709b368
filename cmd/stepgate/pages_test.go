package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPagesAtTheCommandLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pages")
	config := filepath.Join(t.TempDir(), "Caddyfile")
	caddyfile := "{\n\tstepgate {\n\t\tbrand Example {\n\t\t\tpages " + dir + "\n\t\t}\n\t}\n}\n"
	if err := os.WriteFile(config, []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	validate := []string{"validate", "--config", config, "--adapter", "caddyfile"}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"pages"}, 0, "export"},
		{[]string{"pages", "export"}, 1, "accepts 1 arg(s), received 0"},
		{validate, 1, "reading pages: stat " + dir},
		{[]string{"pages", "export", dir}, 0, "brand … { pages " + dir + " }"},
		{[]string{"pages", "export", dir}, 1, "exists already: name another folder, or remove the file"},
		{validate, 0, "Valid configuration"},
	} {
		checkRun(t, c.args, c.code, c.want)
	}
	english := filepath.Join(dir, "messages", "en.toml")
	text, err := os.ReadFile(english)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(english, []byte(strings.Replace(string(text), `"do.send"`, `"do.sent"`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	checkRun(t, validate, 1, `message \"do.sent\": there is none of that name: did you mean \"do.send\"?`)
}

// checkRun runs stepgate and compares its exit code and what it prints.
func checkRun(t *testing.T, args []string, code int, want string) {
	t.Helper()
	run := stepgate(t, args...)
	out, err := run.CombinedOutput()
	if got := run.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), want) {
		t.Errorf("stepgate %q exits with %d, %v, want %d and %q in\n%s", args, got, err, code, want, out)
	}
}
