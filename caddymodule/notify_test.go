package caddymodule

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/notify"
)

var testSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdefghijklmn"))

func TestNoticesAreSentAsConfigured(t *testing.T) {
	got := ""
	site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.Path + " " + r.Header.Get("webhook-id") }))
	defer site.Close()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_NOTIFY_URL", site.URL+"/hooks")
	t.Setenv("TEST_NOTIFY_SECRET", testSecret)
	for _, secret := range []string{testSecret, "{env.TEST_NOTIFY_SECRET}", "{file." + file + "}"} {
		w, err := (&Notify{URL: "{env.TEST_NOTIFY_URL}", Secret: secret}).webhook()
		if err != nil {
			t.Fatal(err)
		}
		got = ""
		if err := w.Send(context.Background(), notify.Notice{ID: "n1", Kind: "sms_changed", Subject: "u-1"}); err != nil || got != "/hooks n1" {
			t.Errorf("Send = %v, and the site got %q", err, got)
		}
	}
}

// I8: the admin endpoint shows the configuration as it was written.
func TestInvariantI8TheDumpOfTheConfigurationHasPlaceholdersNotSecrets(t *testing.T) {
	t.Setenv("TEST_NOTIFY_SECRET", testSecret)
	app := &App{Notify: &Notify{URL: "https://site.internal/hooks", Secret: "{env.TEST_NOTIFY_SECRET}"}}
	var err error
	if app.webhook, err = app.Notify.webhook(); err != nil {
		t.Fatal(err)
	}
	dump, err := json.Marshal(app)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(dump) + fmt.Sprintf("%+v", app.webhook); strings.Contains(text, testSecret) || !strings.Contains(text, "{env.TEST_NOTIFY_SECRET}") {
		t.Errorf("the dump is %s", text)
	}
}

func TestNoticesThatCannotBeSentAreRefusedAtLoad(t *testing.T) {
	t.Setenv("TEST_NOTIFY_EMPTY", "")
	t.Setenv("TEST_NOTIFY_PUBLIC", "http://casino.example/s3cr3t")
	t.Setenv("TEST_NOTIFY_SHORT", "whsec_s3cr3t")
	for _, c := range []struct{ name, notify, want string }{
		{"nothing", `{}`, "is no URL"},
		{"no secret", `{"url":"https://site.internal/"}`, "openssl rand -base64 32"},
		{"a variable that is not set", `{"url":"https://site.internal/","secret":"{env.TEST_NOTIFY_EMPTY}"}`, "TEST_NOTIFY_EMPTY"},
		{"a short secret", `{"url":"https://site.internal/","secret":"{env.TEST_NOTIFY_SHORT}"}`, "openssl rand -base64 32"},
		{"plain http", `{"url":"{env.TEST_NOTIFY_PUBLIC}","secret":"` + testSecret + `"}`, "write https"},
		{"a negative timeout", `{"url":"https://site.internal/","secret":"` + testSecret + `","timeout":-1}`, "negative"},
	} {
		err := validate(t, `{"brand":{"name":"x"},"notify":`+c.notify+`}`, "")
		if err == nil || !strings.Contains(err.Error(), "loading notify: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: validating = %v, want an error with %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: validating = %v: it repeats a secret", c.name, err)
		}
	}
}
