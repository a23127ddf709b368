package gate_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/sms"
)

// Dynamic linking: the code of a request that it approves says what it approves, and
// every other one says nothing that could be taken for it (R1).
func TestTheSMSOfASingleUseRuleSaysWhatItApproves(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	for _, c := range []struct {
		name string
		open func() *http.Response
		says bool
	}{
		{"a withdrawal by a form", func() *http.Response { return b.withdraw("2500000") }, true},
		{"a withdrawal by a script", func() *http.Response { return w.script("budi").json("POST", api, body(2500000)) }, true},
		{"a change of the e-mail", func() *http.Response {
			return b.post("/account/email", "amount", "2500000", "account", "BCA 1234567890")
		}, false},
		{"a page", func() *http.Response { return b.get("/statement?amount=2500000&account=1234567890") }, false},
	} {
		sent := w.phone.count()
		wantStatus(t, c.open(), http.StatusUnauthorized)
		if w.phone.count() != sent+1 {
			t.Fatalf("%s sent %d SMS", c.name, w.phone.count()-sent)
		}
		text := w.phone.last(t).Text
		amount := strings.Contains(text, "2,500,000") || strings.Contains(text, "2.500.000")
		payee := strings.Contains(text, "1234567890")
		if amount != c.says || payee != c.says || !strings.Contains(text, w.phone.last(t).Code) {
			t.Errorf("%s: the SMS is %q", c.name, text)
		}
	}
	// What an SMS said is what its code does: it approves no other amount.
	said := w.phone.sent[0].Code
	id := challengeID(t, text(t, b.withdraw("9900000")))
	if said != w.phone.last(t).Code {
		wantStatus(t, b.answer(withdraw, id, "sms", said), http.StatusUnprocessableEntity)
	}
	wantHits(t, w, 0)
}

// boundTo returns the host of the line that binds an SMS's code to a site, if it has one.
func boundTo(m sms.Message) string {
	_, line, _ := strings.Cut(m.Text, "\n\n@")
	host, code, _ := strings.Cut(line, " #")
	if code != m.Code {
		return ""
	}
	return host
}

// Abroad a code is bound to the site, so that a browser fills it in on no other; at
// home, where networks filter texts with a domain, it is not. The site's host is that of
// the configuration or of the certificate, and never what a client says: a thief would
// have the code filled in on a page of their own.
func TestACodeIsBoundToTheHostThatIsKnownForSure(t *testing.T) {
	const home, abroad = "+6281234567890", "+6591234567"
	overTLS := func(name string) func(r *http.Request) {
		return func(r *http.Request) { r.TLS = &tls.ConnectionState{ServerName: name, HandshakeComplete: true} }
	}
	plain := func(*http.Request) {}
	for _, c := range []struct {
		name, phone, publicURL, host string
		over                         func(r *http.Request)
		want                         string
	}{
		{"abroad, by TLS", abroad, "", "casino.example", overTLS("casino.example"), "casino.example"},
		{"abroad, by TLS and with a port", abroad, "", "casino.example:8443", overTLS("casino.example"), "casino.example"},
		{"abroad, by the configuration", abroad, "https://www.casino.example", "casino.example", plain, "www.casino.example"},
		{"abroad, by the configuration, whatever the host", abroad, "https://www.casino.example", "thief.example", overTLS("thief.example"), "www.casino.example"},
		{"abroad, by the host alone", abroad, "", "casino.example", plain, ""},
		{"abroad, for a host without a certificate", abroad, "", "thief.example", overTLS("casino.example"), ""},
		{"abroad, without a name in TLS", abroad, "", "thief.example", overTLS(""), ""},
		{"abroad, on this machine", abroad, "", "localhost:9080", plain, ""},
		{"abroad, for an address of this machine", abroad, "", "127.0.0.1", plain, ""},
		{"at home, by TLS", home, "", "casino.example", overTLS("casino.example"), ""},
		{"at home, by the configuration", home, "https://www.casino.example", "casino.example", plain, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.source.phones["budi"] = c.phone
			config := w.gate.Config
			config.PublicURL, config.Numbering = c.publicURL, sms.Numbering{Regions: []string{"ID", "SG"}}
			var err error
			if w.gate, err = gate.New(config); err != nil {
				t.Fatal(err)
			}
			b := w.browser("budi")
			r := b.request("POST", withdraw, formType, form("amount", "100000", "account", "BCA 1234567890"))
			r.Host = c.host
			r.Header.Set("X-Forwarded-Host", "thief.example")
			c.over(r)
			wantStatus(t, b.do(r), http.StatusUnauthorized)
			if got := boundTo(w.phone.last(t)); got != c.want || strings.Contains(w.phone.last(t).Text, "thief") {
				t.Errorf("the SMS %q is bound to %q, want %q", w.phone.last(t).Text, got, c.want)
			}
		})
	}
}

func TestTheOperatorSaysWhereACodeIsBoundToTheSite(t *testing.T) {
	for _, on := range []bool{true, false} {
		w := newWorld(t)
		pages, err := challengepages.New(challengepages.Brand{Name: "Example Casino", OriginLine: func(string) bool { return on }})
		if err != nil {
			t.Fatal(err)
		}
		w.gate.Pages, w.gate.PublicURL = pages, "https://casino.example"
		w.browser("agus").withdraw("100000")
		if got := boundTo(w.phone.last(t)) != ""; got != on {
			t.Errorf("the line is in the SMS: %v, want %v", got, on)
		}
	}
}
