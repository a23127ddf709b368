package gate_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/gate"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// I1: what the body says counts however it is wrapped; what cannot be read never
// passes.
func TestInvariantI1ABodyThatARuleAsksForNeverPassesUnread(t *testing.T) {
	call := `{"method":"withdraw"}`
	for name, c := range map[string]struct {
		target, contentType, coding, body string
	}{
		"plain":                      {"/rpc", "application/json", "", call},
		"without a type":             {"/rpc", "", "", call},
		"under a wrong type":         {"/rpc", "text/plain", "", call},
		"as a form":                  {"/rpc", formType, "", "method=withdraw"},
		"in the query":               {"/rpc?method=withdraw", "application/json", "", `{"method":"play"}`},
		"twice":                      {"/rpc", "application/json", "", `{"method":"play","method":"withdraw"}`},
		"escaped":                    {"/rpc", "application/json", "", `{"\u006dethod":"withdr\u0061w"}`},
		"in a batch":                 {"/rpc", "application/json", "", `[{"method":"play"},{"method":"withdraw"}]`},
		"compressed":                 {"/rpc", "application/json", "gzip", gzipped(t, call)},
		"in an unknown coding":       {"/rpc", "application/json", "rot13", call},
		"in another charset":         {"/rpc", "application/json; charset=utf-16", "", call},
		"broken":                     {"/rpc", "application/json", "", call + `,`},
		"of another type":            {"/rpc", "application/xml", "", "<method>withdraw</method>"},
		"too large":                  {"/rpc", "application/json", "", call + strings.Repeat(" ", gate.DefaultMaxBody)},
		"a mutation":                 {"/graphql", "application/json", "", `{"query":"mutation{a:withdraw(amount:1)}"}`},
		"a mutation through GET":     {"/graphql?query=mutation{withdraw}", "", "", ""},
		"a persisted document":       {"/graphql", "application/json", "", `{"extensions":{"persistedQuery":{"sha256Hash":"x"}}}`},
		"a large amount":             {"/transfer", "application/json", "", `{"amount":1001}`},
		"an amount that is no plain": {"/transfer", "application/json", "", `{"amount":1e9}`},
		"no amount":                  {"/transfer", "application/json", "", `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.enrolSMS("budi")
			b := w.script("budi")
			r := b.request("POST", c.target, c.contentType, c.body)
			if c.coding != "" {
				r.Header.Set("Content-Encoding", c.coding)
			}
			wantStatus(t, b.do(r), http.StatusUnauthorized)
			wantHits(t, w, 0)
		})
	}
}

// I12: a request that the rule does not mean goes on untouched although its body
// was read.
func TestInvariantI12ABodyThatWasReadGoesOnAsItCame(t *testing.T) {
	large := `{"method":"play","x":"` + strings.Repeat("é", 1<<18) + `"}`
	for name, c := range map[string]struct{ target, contentType, coding, body string }{
		"plain":          {"/rpc", "application/json", "", ` {"method" : "play"}`},
		"large":          {"/rpc", "application/json", "", large},
		"compressed":     {"/rpc", "application/json", "gzip", gzipped(t, large)},
		"a query":        {"/graphql", "application/json", "", `{"query":"{me{id}}"}`},
		"a small amount": {"/transfer", "application/json", "", `{"amount":1000}`},
		"no body":        {"/rpc", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.script("budi")
			r := b.request("POST", c.target, c.contentType, c.body)
			if c.coding != "" {
				r.Header.Set("Content-Encoding", c.coding)
			}
			header := r.Header.Clone()
			wantStatus(t, b.do(r), http.StatusOK)
			got := w.site.all()[0]
			if got.body != c.body {
				t.Errorf("the site got a body of %d bytes, want the %d that were sent", len(got.body), len(c.body))
			}
			for name := range header {
				if strings.Join(got.header[name], "|") != strings.Join(header[name], "|") {
					t.Errorf("header %s reached the site as %q, want %q", name, got.header[name], header[name])
				}
			}
		})
	}
}

// A rule that names a part of the body lets exactly the shown request through,
// like any other.
func TestAChallengedBodyIsReleasedAsItCame(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.script("budi")
	const call = `{"method":"withdraw","amount":5}`
	p := decode(t, b.json("POST", "/rpc", call))
	wantStatus(t, b.json("POST", p.Challenge.URL, answer("sms", w.phone.last(t).Code)), http.StatusOK)
	wantStatus(t, b.json("POST", "/rpc", call), http.StatusOK)
	wantHits(t, w, 1)
	if got := w.site.all()[0].body; got != call {
		t.Errorf("the site got %q, want %q", got, call)
	}
}
