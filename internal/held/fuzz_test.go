package held_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stepgate/stepgate/internal/held"
)

// Whatever a client sends, what is released is what was captured: the same
// target, body and meaning, after it was stored and read back (invariant I4).
func FuzzCaptureAndRestoreAreIdentity(f *testing.F) {
	f.Add("POST", target, "application/x-www-form-urlencoded", "PUT", []byte("amount=2500000"))
	f.Fuzz(func(t *testing.T, method, raw, contentType, override string, body []byte) {
		u, err := url.ParseRequestURI(raw)
		if err != nil || raw[0] != '/' || method == http.MethodConnect {
			t.Skip("no server takes it, or it is not held")
		}
		in := httptest.NewRequest("POST", "/", io.NopCloser(bytes.NewReader(body)))
		in.Method, in.URL, in.Host = method, u, "casino.example"
		in.Header = http.Header{"Content-Type": {contentType}, "X-Http-Method-Override": {override}}
		h, err := held.Capture(in, u.RequestURI(), 1<<20)
		if err != nil {
			t.Fatalf("Capture() = %v", err)
		}
		sealed, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		stored := new(held.Request)
		if err := json.Unmarshal(sealed, stored); err != nil {
			t.Fatal(err)
		}
		out, err := stored.Restore(carrier())
		if err != nil {
			t.Fatalf("Restore() of what was captured = %v", err)
		}
		if out.URL.RequestURI() != in.URL.RequestURI() || out.URL.Path != in.URL.Path || out.URL.RawQuery != in.URL.RawQuery {
			t.Errorf("target %q became %q", in.URL.RequestURI(), out.URL.RequestURI())
		}
		again, err := held.Capture(out, out.URL.RequestURI(), 1<<20)
		if err != nil || again.Digest() != h.Digest() || !bytes.Equal(again.Body, body) {
			t.Errorf("%s %q %q became %s %q %q, %v", method, raw, body, again.Method, again.URI, again.Body, err)
		}
	})
}
