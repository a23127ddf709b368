package held_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/held"
)

type contextKey struct{}

// carrier is the form post of a challenge page.
func carrier() *http.Request {
	r := httptest.NewRequest("POST", target, strings.NewReader("stepgate_code=123456"))
	r = r.WithContext(context.WithValue(r.Context(), contextKey{}, "of the carrier"))
	r.Host, r.RemoteAddr = "casino.example", "198.51.100.7:4711"
	r.Header = http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Content-Length": {"20"},
		"Cookie": {"casino_session=now"}, "User-Agent": {"Browser/2"}, "X-Forwarded-For": {"198.51.100.7"},
	}
	return r
}

func restore(t *testing.T, h *held.Request, on *http.Request) *http.Request {
	t.Helper()
	r, err := h.Restore(on)
	if err != nil {
		t.Fatalf("Restore() = %v", err)
	}
	return r
}

func TestARestoredRequestIsTheHeldOneUnderTheCarriersSession(t *testing.T) {
	h := withdrawal()
	h.Header["X-Csrf-Token"] = []string{"of the form"}
	c := carrier()
	c.Header["Authorization"] = []string{"Basic now"}
	c.Header["Accept"] = []string{"application/json"}
	r := restore(t, h, c)

	if r.Method != "POST" || r.Host != h.Host || r.RequestURI != target || r.URL.RequestURI() != target {
		t.Errorf("restored %s %s %s (%s), want that of the held request", r.Method, r.Host, r.RequestURI, r.URL)
	}
	want := http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"text/html"}, "X-Csrf-Token": {"of the form"},
		"Content-Length": {"30"}, "Cookie": {"casino_session=now"}, "Authorization": {"Basic now"},
		"User-Agent": {"Browser/2"}, "X-Forwarded-For": {"198.51.100.7"},
	}
	if diff := cmp.Diff(want, r.Header); diff != "" {
		t.Errorf("header differs (-want +got):\n%s", diff)
	}
	if body, err := io.ReadAll(r.Body); !bytes.Equal(body, h.Body) || err != nil || r.ContentLength != int64(len(h.Body)) {
		t.Errorf("body %q, %v, length %d", body, err, r.ContentLength)
	}
	if r.RemoteAddr != c.RemoteAddr || r.Context().Value(contextKey{}) != "of the carrier" {
		t.Error("connection and context are not the carrier's")
	}
	if r.GetBody != nil {
		t.Error("GetBody is set: a transport may send the request twice (I4)")
	}
}

func TestRestoreLeavesCarrierAndHeldRequestAsTheyWere(t *testing.T) {
	h, c := withdrawal(), carrier()
	before := c.Header.Clone()
	r := restore(t, h, c)
	r.Header.Set("Content-Type", "altered")
	r.Header["Accept"][0] = "altered"
	r.Header["Cookie"][0] = "altered"
	if diff := cmp.Diff(before, c.Header); diff != "" {
		t.Errorf("the carrier's header changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(withdrawal().Header, h.Header); diff != "" {
		t.Errorf("the held header changed (-before +after):\n%s", diff)
	}
	if body, _ := io.ReadAll(c.Body); string(body) != "stepgate_code=123456" || c.URL.RequestURI() != target {
		t.Errorf("the carrier is %s %q now", c.URL, body)
	}
}

// A player's form post can say things about itself that would be lies about the
// request that it releases.
func TestNothingOfTheCarriersBodyOrConnectionReachesTheRestoredRequest(t *testing.T) {
	h := &held.Request{Method: "DELETE", Host: "casino.example", URI: "/account/bank/1", Header: map[string][]string{}}
	c := carrier()
	c.TransferEncoding, c.Trailer = []string{"chunked"}, http.Header{"X-T": {"1"}}
	if err := c.ParseForm(); err != nil {
		t.Fatal(err)
	}
	c.Header = http.Header{
		"Cookie":     {"casino_session=now"},
		"Connection": {"keep-alive, X-Hop", " x-other-hop ,Content-Type"}, "X-Hop": {"1"}, "X-Other-Hop": {"1"},
		"Keep-Alive": {"timeout=5"}, "Proxy-Connection": {"keep-alive"}, "Te": {"trailers"}, "Trailer": {"X-T"},
		"Transfer-Encoding": {"chunked"}, "Upgrade": {"websocket"}, "Expect": {"100-continue"}, "Content-Length": {"20"},
		"Content-Type": {"application/x-www-form-urlencoded"}, "Content-Encoding": {"gzip"}, "Content-Language": {"id"},
		"Origin": {"https://casino.example"}, "Referer": {"https://casino.example/"}, "Sec-Fetch-Mode": {"navigate"},
		"X-Http-Method-Override": {"PUT"}, "X-Http-Method": {"PUT"}, "X-Method-Override": {"PUT"},
		"If-Match": {`"1"`}, "X-Requested-With": {"XMLHttpRequest"},
	}
	r := restore(t, h, c)
	if diff := cmp.Diff(http.Header{"Cookie": {"casino_session=now"}}, r.Header); diff != "" {
		t.Errorf("header differs (-want +got):\n%s", diff)
	}
	if r.TransferEncoding != nil || r.Trailer != nil || r.ContentLength != 0 || r.Body != http.NoBody {
		t.Errorf("framing: %v %v %d %v, want none", r.TransferEncoding, r.Trailer, r.ContentLength, r.Body)
	}
	if r.Form != nil || r.PostForm != nil || r.MultipartForm != nil {
		t.Error("the carrier's parsed form is still there")
	}
}

// What the carrier's Connection header names are its own headers; the held ones
// are not its to take away.
func TestTheCarrierCannotTakeHeldHeadersAway(t *testing.T) {
	c := carrier()
	c.Header["Connection"] = []string{"content-type, accept, content-length"}
	r := restore(t, withdrawal(), c)
	for name, want := range map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html", "Content-Length": "30",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestContentLengthIsSaidWhereABodyIsExpected(t *testing.T) {
	for _, tt := range []struct{ method, body, want string }{
		{"POST", "a=1", "3"}, {"POST", "", "0"}, {"PUT", "", "0"}, {"PATCH", "", "0"},
		{"DELETE", "a=1", "3"}, {"DELETE", "", ""}, {"GET", "", ""}, {"HEAD", "", ""},
	} {
		h := &held.Request{Method: tt.method, Host: "casino.example", URI: "/", Body: []byte(tt.body)}
		r := restore(t, h, carrier())
		if got := r.Header.Get("Content-Length"); got != tt.want || r.ContentLength != int64(len(tt.body)) {
			t.Errorf("%s with %d bytes: Content-Length %q, %d", tt.method, len(tt.body), got, r.ContentLength)
		}
	}
}

// I4: byte for byte, on the wire to the site too.
func TestInvariantI4ARestoredRequestIsTheSameOnTheWire(t *testing.T) {
	h := withdrawal()
	h.Body = []byte("\x00\xff\r\n0\r\n\r\nGET / HTTP/1.1\r\n")
	var wire bytes.Buffer
	if err := restore(t, h, carrier()).Write(&wire); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(&wire)
	r, err := http.ReadRequest(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := held.Capture(r, r.RequestURI, limit)
	if err != nil || got.Digest() != h.Digest() {
		t.Errorf("the site gets %s %s %q, %v: want what was held", r.Method, r.RequestURI, got.Body, err)
	}
	if rest, _ := io.ReadAll(in); len(rest) != 0 {
		t.Errorf("%d bytes follow the request", len(rest))
	}
}

// R43, I4: nothing that is released leads to another host or place than the one
// that was shown.
func TestInvariantI4ARequestIsRestoredOnItsOwnHostOnly(t *testing.T) {
	tests := map[string]struct{ host, uri string }{
		"another host":              {"other.example", target},
		"another port":              {"casino.example:8443", target},
		"no host":                   {"", target},
		"another spelling":          {"CASINO.example", target},
		"absolute target":           {"casino.example", "https://evil.example/wallet/withdraw"},
		"absolute target, own host": {"casino.example", "http://casino.example/wallet/withdraw"},
		"opaque target":             {"casino.example", "mailto:a@b"},
		"authority":                 {"casino.example", "evil.example:443"},
		"asterisk":                  {"casino.example", "*"},
		"relative":                  {"casino.example", "wallet/withdraw"},
		"query only":                {"casino.example", "?from=main"},
		"empty":                     {"casino.example", ""},
		"control byte":              {"casino.example", "/wallet\r\nHost: evil.example"},
		"broken escape":             {"casino.example", "/wallet/%zz"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := withdrawal()
			h.Host, h.URI = tt.host, tt.uri
			if r, err := h.Restore(carrier()); err == nil {
				t.Errorf("Restore() = %s on %s, want an error", r.URL, r.Host)
			} else if strings.Contains(err.Error(), "evil") || strings.Contains(err.Error(), "wallet") {
				t.Errorf("the error tells of the request: %v (I8)", err)
			}
		})
	}
	h := withdrawal()
	h.URI = "//evil.example/x"
	if r := restore(t, h, carrier()); r.URL.Host != "" || r.URL.Path != "//evil.example/x" || r.Host != "casino.example" {
		t.Errorf("restored for host %q %q path %q, want a path that begins with two slashes", r.URL.Host, r.Host, r.URL.Path)
	}
}

// I4: what was stored is what was captured. JSON text would lose every byte that
// is not UTF-8.
func TestInvariantI4ARequestIsStoredByteForByte(t *testing.T) {
	for name, h := range map[string]*held.Request{
		"ordinary": withdrawal(),
		"no body, no header": {
			Method: "DELETE", Host: "casino.example", URI: "/account/bank/1", Header: map[string][]string{},
		},
		"bytes that are not UTF-8": {
			Method: "POST", Host: "casino.example", URI: "/wallet?note=\xff\xfe", Body: []byte{0, 0xff, 0xc3, 0x28},
			Header: map[string][]string{"Referer": {"https://casino.example/caf\xe9"}, "Content-Type": {"a/b; name=\xe9", "<&\u2028>"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(h)
			if err != nil {
				t.Fatal(err)
			}
			got := new(held.Request)
			if err := json.Unmarshal(b, got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(h, got); diff != "" {
				t.Errorf("read back differently (-want +got):\n%s", diff)
			}
			if got.Digest() != h.Digest() {
				t.Error("read back with another digest")
			}
		})
	}
}

func TestAStoredRequestWithAnUnknownFieldIsRefused(t *testing.T) {
	var h held.Request
	for _, doc := range []string{`{"method":"UE9TVA==","limit":1}`, `{"method":1}`, `{"uri":"%"}`, `[]`} {
		if err := json.Unmarshal([]byte(doc), &h); err == nil {
			t.Errorf("reading %s = nil, want an error", doc)
		}
	}
}

// I8: no held body in any log.
func TestInvariantI8AHeldRequestDoesNotPrint(t *testing.T) {
	h := withdrawal()
	h.Header["X-Csrf-Token"] = []string{"hunter2"}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+verb, h, *h)
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("held", "pointer", h, "value", *h)
	}
	inBase64 := base64.StdEncoding.EncodeToString(h.Body)
	for _, secret := range []string{"2500000", "BCA", "hunter2", "withdraw", "casino", fmt.Sprintf("%x", "amount"), "97 109 111", inBase64} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(secret)) {
			t.Errorf("%q shows in:\n%s", secret, out.String())
		}
	}
}
