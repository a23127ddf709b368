package vonagetest

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// node returns a command of Node.js beside the official client. Without it the test is
// skipped, and fails with CI=true.
func node(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	missing := t.Skip
	if os.Getenv("CI") == "true" {
		missing = t.Fatal
	}
	if _, err := exec.LookPath("node"); err != nil {
		missing("no Node.js: install it, with npm")
	}
	if _, err := os.Stat(filepath.Join(recordings, "node_modules")); err != nil {
		missing("no official Vonage client: install npm, then run 'npm ci --prefix testdata/vonage'")
	}
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Dir = recordings
	return cmd
}

// The fake is no better than its likeness to Vonage, and the nearest judge of that is
// Vonage's own client.
func TestTheOfficialClientFindsVonage(t *testing.T) {
	der, err := x509.MarshalPKCS8PrivateKey(privateKey())
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "private.pem")
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Now = time.Now
	s := New(o)
	cmd := node(t, "official-client.mjs", "--base", s.Start(t), "--suite", "suite.json",
		"--private-key", key, "--key", testKey, "--secret", testSecret, "--app", testApplication)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var steps []struct {
		Name      string
		Pass      *bool
		Want, Got json.RawMessage
	}
	if decodeErr := json.Unmarshal(out, &steps); decodeErr != nil {
		t.Fatalf("the official client: %v\n%s%s", err, out, stderr.Bytes())
	}
	for _, step := range steps {
		if step.Pass == nil || !*step.Pass {
			t.Errorf("%s: got %s, want %s", step.Name, step.Got, step.Want)
		}
	}
	if err != nil || len(steps) != 30 {
		t.Errorf("the official client made %d steps, %v, want 30 and no error", len(steps), err)
	}
	t.Logf("%d steps, %d requests", len(steps), len(s.Requests()))
}

func TestTheOfficialClientBelievesACallback(t *testing.T) {
	o := options()
	o.Now, o.StatusURL = time.Now, "https://gateway.test/status"
	callback, err := New(o).Callback(Message{API: Messages, ID: uuid()}, Report{Status: "delivered"})
	if err != nil {
		t.Fatal(err)
	}
	const script = `import {verifySignature} from '@vonage/jwt';
		const [, token, ...secrets] = process.argv;
		console.log(JSON.stringify(secrets.map((s) => verifySignature(token, s))));`
	authorization := callback.Header.Get("Authorization")
	out, err := node(t, "--input-type=module", "-e", script, authorization[len("Bearer "):], testSignature, "another").CombinedOutput()
	if got := string(bytes.TrimSpace(out)); err != nil || got != "[true,false]" {
		t.Errorf("verifySignature under the secret and another one: %s, %v, want [true,false]", got, err)
	}
}
