package held_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stepgate/stepgate/internal/held"
)

func withdrawal() *held.Request {
	return &held.Request{
		Method: "POST", Host: "casino.example", URI: target, Body: []byte("amount=2500000&account=BCA+123"),
		Header: map[string][]string{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"text/html"}},
	}
}

// I4, R11, R73: any other amount, payee, target or meaning is another request. No two of
// these may share a digest, not with one another either.
func TestInvariantI4EveryChangeOfWhatIsAskedChangesTheDigest(t *testing.T) {
	header := func(name string, values ...string) func(h *held.Request) {
		return func(h *held.Request) { h.Header[name] = values }
	}
	tests := map[string]func(h *held.Request){
		"as it was":              func(*held.Request) {},
		"method":                 func(h *held.Request) { h.Method = "PUT" },
		"method in small":        func(h *held.Request) { h.Method = "post" },
		"host":                   func(h *held.Request) { h.Host = "casino.example:8443" },
		"path":                   func(h *held.Request) { h.URI = "/wallet/withdraw/?from=main" },
		"path, other spelling":   func(h *held.Request) { h.URI = "/wallet/%77ithdraw?from=main" },
		"query":                  func(h *held.Request) { h.URI = "/wallet/withdraw?from=bonus" },
		"no query":               func(h *held.Request) { h.URI = "/wallet/withdraw" },
		"amount":                 func(h *held.Request) { h.Body = []byte("amount=2500001&account=BCA+123") },
		"one more byte":          func(h *held.Request) { h.Body = append(h.Body, '&') },
		"no body":                func(h *held.Request) { h.Body = nil },
		"content type":           header("Content-Type", "application/json"),
		"boundary":               header("Content-Type", "multipart/form-data; boundary=a"),
		"no content type":        header("Content-Type"),
		"empty content type":     header("Content-Type", ""),
		"content type twice":     header("Content-Type", "application/x-www-form-urlencoded", "application/json"),
		"the other way round":    header("Content-Type", "application/json", "application/x-www-form-urlencoded"),
		"content encoding":       header("Content-Encoding", "gzip"),
		"content language":       header("Content-Language", "gzip"),
		"method override":        header("X-Http-Method-Override", "DELETE"),
		"method override, other": header("X-Http-Method", "DELETE"),
		"method override, third": header("X-Method-Override", "DELETE"),
		"host and path, shifted": func(h *held.Request) { h.Host, h.URI = "casino.example/wallet", "/withdraw?from=main" },
		"target and type, shifted": func(h *held.Request) {
			h.URI, h.Header["Content-Type"] = target+"application/", []string{"x-www-form-urlencoded"}
		},
		"type and body, shifted": func(h *held.Request) {
			h.Header["Content-Type"], h.Body = []string{"application/x-www-form-urlencodedamount"}, []byte("=2500000&account=BCA+123")
		},
	}
	seen := map[held.Digest]string{}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		h := withdrawal()
		tests[name](h)
		sum := h.Digest()
		if other, twice := seen[sum]; twice {
			t.Errorf("%q and %q have the same digest", name, other)
		}
		seen[sum] = name
	}
}

func TestDigestIsTheSameForTheSameRequestFromElsewhere(t *testing.T) {
	want := withdrawal().Digest()
	for name, value := range map[string]string{
		"Accept": "application/json", "Accept-Language": "id", "Referer": "https://casino.example/wallet",
		"Sec-Fetch-Mode": "cors", "X-Csrf-Token": "another page's",
	} {
		h := withdrawal()
		h.Header[name] = []string{value}
		if h.Digest() != want {
			t.Errorf("another %s gives another digest: the same request could not be repeated from another page", name)
		}
	}
	h := withdrawal()
	h.Header["Content-Encoding"] = []string{}
	if h.Digest() != want {
		t.Error("a header without values gives another digest than none")
	}
}
