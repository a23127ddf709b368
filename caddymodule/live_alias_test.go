package caddymodule_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

const resetStepUp = `
	step_up {
		identity upstream {SITE}/api/me {
			cookie  casino_session
			subject json:id
			phone   json:phone
		}
		protect password_reset {
			path /password/reset
			method POST
			single_use
			factors sms
			identity form.email
			unenrolled registered_phone
		}
	}`

func (g *gateway) askAliases(body string) (int, string) {
	g.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(g.dir, "admin.sock"))
	}}}
	res, err := client.Post("http://localhost/stepgate/aliases", "application/json", strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// An imported player gets a code for the password reset; a name that nobody has gets the
// same page.
func TestAnImportedNameResetsItsPassword(t *testing.T) {
	g := start(t, config{stepUp: resetStepUp})
	if status, text := g.askAliases(`{"players":[{"subject":"u-1001","login":"budi","email":"budi@example.com","phone":"0812 3456 7890"}]}`); status != 200 || !strings.Contains(text, `"imported":1`) {
		t.Fatalf("importing = %d %s", status, text)
	}
	for name, known := range map[string]bool{"BUDI@example.com": true, "+6281234567890": true, "081234567890": true, "sari": false} {
		if status, text := g.askAliases(`{"name":"` + name + `"}`); status != 200 || strings.Contains(text, `"account"`) != known {
			t.Errorf("whose %s is = %d %s", name, status, text)
		}
	}
	for _, body := range []string{`{}`, `{"name":"x","players":[{"subject":"x"}]}`, `{"name":"x","more":1}`, `x`} {
		if status, _ := g.askAliases(body); status != 400 {
			t.Errorf("%s = %d, want 400", body, status)
		}
	}
	inbox.Delete(budisPhone) // of an earlier test
	p, stranger := g.visitor(), g.visitor()
	page := p.post("/password/reset", "email", "budi@example.com").want(http.StatusUnauthorized)
	other := stranger.post("/password/reset", "email", "none@example.com").want(http.StatusUnauthorized)
	if len(page.body) != len(other.body) {
		t.Errorf("the pages have %d and %d bytes", len(page.body), len(other.body))
	}
	id := page.challenge()
	stranger.post("/password/reset", solution(other.challenge(), "sms", "000000")...).want(http.StatusUnprocessableEntity)
	p.post("/password/reset", solution(id, "sms", awaitCode(t, budisPhone))...).want(http.StatusOK)
	if n := len(g.site.reached("/password/reset")); n != 1 {
		t.Errorf("the site got %d resets, want one", n)
	}
}
