package caddymodule_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/leaktest"
)

// secretsNow are those of the test that runs, for the sender that is a guest of all of
// them.
var secretsNow atomic.Pointer[leaktest.Secrets]

// keepSecret begins with what is secret in every test. The rest is added as it comes up
// in requests, answers and messages.
func (g *gateway) keepSecret() {
	for _, number := range []string{"+6281234567890", "+6281298765432", "+628111222333"} {
		g.secrets.AddNumber("a player's number", number)
	}
	secretsNow.Store(&g.secrets)
}

// hideRequest makes secret what a browser has sent: its cookies, a bearer token, and
// the codes and keys that were typed, the wrong ones among them.
func (g *gateway) hideRequest(r *http.Request, body string) {
	for _, c := range r.Cookies() {
		g.secrets.Add("the cookie "+c.Name, c.Value)
	}
	if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		g.secrets.Add("a bearer token", token)
	}
	if r.Header.Get("Content-Type") != formType {
		return
	}
	if form, err := url.ParseQuery(body); err == nil {
		typed := form.Get(challengepages.FieldCode)
		g.secrets.Add("what a player typed", typed)
		g.secrets.AddCode("a code that a player typed", typed)
	}
}

// hideAnswer makes secret what a browser has got: cookies, and seeds and recovery keys
// on the page.
func (g *gateway) hideAnswer(res *http.Response, body string) {
	for _, c := range res.Cookies() {
		g.secrets.Add("the cookie "+c.Name, c.Value)
	}
	if m := seedPattern.FindStringSubmatch(body); m != nil {
		g.secrets.Add("a seed", m[1])
	}
	if m := recoveryPattern.FindStringSubmatch(body); m != nil {
		g.secrets.Add("a recovery key", m[1])
		g.secrets.Add("a recovery key without its groups", strings.ReplaceAll(m[1], "-", ""))
	}
}

// checkLogs fails the test if a secret stands in a log. Caddy has stopped, so that
// nothing more comes.
func (g *gateway) checkLogs() {
	secretsNow.Store(nil)
	for _, name := range []string{"log.json", "audit.json"} {
		text, err := os.ReadFile(filepath.Join(g.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			g.t.Error(err)
		}
		g.secrets.Check(g.t, name, string(text))
	}
}
