package routers

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stepgate/stepgate/internal/body"
	"github.com/stepgate/stepgate/policy"
)

// rules are those of the gateway's configuration, under the names of the handlers.
func rules(tb testing.TB) *policy.Set {
	tb.Helper()
	set, err := policy.Compile([]policy.Rule{
		{Name: "withdraw", Paths: []string{"/wallet/withdraw"}, Methods: []string{"POST"}},
		{Name: "export", Paths: []string{"/account/export/*"}, Methods: []string{"GET"}},
		{Name: "phone", Paths: []string{"/account/phone"}, Methods: []string{"PUT"}},
		{Name: "transfer", Paths: []string{"/api/users/*"}, Methods: []string{"POST"}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// decide asks the policy about a request as the gate does, and leaves its body to
// be read again.
func decide(set *policy.Set, r *http.Request) policy.Decision {
	request := &policy.Request{Method: r.Method, Host: r.Host, Targets: [2]string{r.URL.EscapedPath()}, RawQuery: r.URL.RawQuery, Header: r.Header}
	d := set.Decide(request)
	if !d.Ask {
		return d
	}
	content, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(content))
	request.Body = &policy.Body{Unclear: policy.UnclearUnread}
	if err == nil {
		request.Body = body.Read(body.Input{Header: r.Header, RawQuery: r.URL.RawQuery, Body: content, Cap: 1 << 20})
	}
	return set.Decide(request)
}

// I1, I2: whatever the bytes of a request, what a router of Go makes of it is
// among the readings of the policy. The generated spellings are where it begins.
func FuzzSpellings(f *testing.F) {
	for _, s := range generate(shortRun, false, 2) {
		f.Add([]byte(s.request.text("0")))
	}
	for _, line := range harmless {
		f.Add(harmlessRequest(line))
	}
	set := rules(f)
	var ran []string
	s := site{ran: func(handler string, _ *http.Request) { ran = append(ran, handler) }}
	routers := map[string]http.Handler{}
	for name, make := range goRouters {
		routers[name] = make(s)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for name, router := range routers {
			request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
			if err != nil {
				return // Caddy answers 400
			}
			d := decide(set, request)
			ran = ran[:0]
			router.ServeHTTP(httptest.NewRecorder(), request)
			for _, handler := range ran {
				if d.Refuse == "" && !protectedBy(d, handler) {
					t.Errorf("%s runs the handler %s, which the policy does not find in %q", name, handler, raw)
				}
			}
		}
	})
}

func protectedBy(d policy.Decision, rule string) bool {
	for _, r := range d.Rules {
		if r.Name == rule {
			return true
		}
	}
	return false
}
