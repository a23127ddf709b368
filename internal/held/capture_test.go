package held_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/held"
)

const (
	target = "/wallet/withdraw?from=main"
	limit  = 64
)

func post(body io.Reader) *http.Request {
	r := httptest.NewRequest("POST", target, body)
	r.Host = "casino.example"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// stream is a body of unknown length that notes whether it was closed. After its
// bytes it ends with err.
type stream struct {
	bytes  io.Reader
	err    error
	closed bool
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.bytes.Read(p)
	if err == io.EOF {
		err = s.err
	}
	return n, err
}

func (s *stream) Close() error {
	s.closed = true
	return nil
}

var errGone = errors.New("the client is gone")

func TestCaptureTakesTheBodyAndLeavesItToBeReadAgain(t *testing.T) {
	full := strings.Repeat("x", limit)
	tests := map[string]struct {
		body  string
		known bool  // the length is announced
		end   error // instead of the end of the body
		want  error
	}{
		"ordinary":                      {body: "amount=2500000", known: true},
		"empty":                         {known: true},
		"exactly the cap":               {body: full, known: true},
		"one byte over the cap":         {body: full + "y", known: true, want: held.ErrTooLarge},
		"chunked":                       {body: "amount=2500000"},
		"chunked and empty":             {},
		"chunked, exactly the cap":      {body: full},
		"chunked, one byte over":        {body: full + "y", want: held.ErrTooLarge},
		"chunked, far over":             {body: strings.Repeat("z", 100*limit), want: held.ErrTooLarge},
		"cut off":                       {body: "amount=25", known: true, end: io.ErrUnexpectedEOF, want: io.ErrUnexpectedEOF},
		"chunked and cut off":           {body: "amount=25", end: errGone, want: errGone},
		"cut off after too many, early": {body: full + "yy", end: errGone, want: held.ErrTooLarge},
		"nothing but an error":          {end: errGone, want: errGone},
		"binary":                        {body: "\x00\xff\r\n\r\n\xfe", known: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			end := tt.end
			if end == nil {
				end = io.EOF
			}
			body := &stream{bytes: strings.NewReader(tt.body), err: end}
			r := post(nil)
			r.Body, r.ContentLength = body, -1
			if tt.known {
				r.ContentLength = int64(len(tt.body))
			}
			got, err := held.Capture(r, target, limit)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Capture() = %v, want %v", err, tt.want)
			}
			if tt.want == nil && string(got.Body) != tt.body {
				t.Errorf("captured %q, want %q", got.Body, tt.body)
			}
			if tt.want != nil && got != nil {
				t.Errorf("Capture() = %v beside an error", got)
			}
			again, err := io.ReadAll(r.Body)
			if string(again) != tt.body || !errors.Is(err, tt.end) {
				t.Errorf("whoever reads the body next gets %q, %v, want %q, %v", again, err, tt.body, tt.end)
			}
			if body.closed {
				t.Error("Capture closed the body")
			}
			if err := r.Body.Close(); err != nil || !body.closed {
				t.Errorf("closing the body that was put in place: %v, reached the connection's: %v", err, body.closed)
			}
		})
	}
}

func TestCaptureDoesNotReadABodyThatSaysItIsTooLarge(t *testing.T) {
	body := &stream{bytes: strings.NewReader("never"), err: io.EOF}
	r := post(nil)
	r.Body, r.ContentLength = body, limit+1
	if _, err := held.Capture(r, target, limit); !errors.Is(err, held.ErrTooLarge) {
		t.Fatalf("Capture() = %v, want ErrTooLarge", err)
	}
	if r.Body != io.ReadCloser(body) {
		t.Error("the body was exchanged")
	}
}

func TestCaptureTakesRequestsWithoutABody(t *testing.T) {
	for name, body := range map[string]io.ReadCloser{"nil": nil, "http.NoBody": http.NoBody} {
		t.Run(name, func(t *testing.T) {
			r := post(nil)
			r.Body, r.ContentLength = body, 0
			got, err := held.Capture(r, target, 0)
			if err != nil || len(got.Body) != 0 {
				t.Errorf("Capture() = %d bytes, %v, want none", len(got.Body), err)
			}
			if r.Body != body {
				t.Error("the body was exchanged")
			}
		})
	}
}

func TestCaptureTwiceGivesTheSame(t *testing.T) {
	r := post(strings.NewReader("amount=2500000"))
	first, err := held.Capture(r, target, limit)
	if err != nil {
		t.Fatal(err)
	}
	second, err := held.Capture(r, target, limit)
	if err != nil || first.Digest() != second.Digest() {
		t.Errorf("the second Capture() differs, %v", err)
	}
}

// I4: a held request is worth nothing to whoever reads it, because it has none of
// what the session is made of.
func TestInvariantI4NoCredentialIsCaptured(t *testing.T) {
	r := post(strings.NewReader("amount=1"))
	r.Header = http.Header{
		"Cookie": {"casino_session=secret"}, "Authorization": {"Bearer secret"}, "Proxy-Authorization": {"Basic c2VjcmV0"},
		"X-Forwarded-For": {"192.0.2.1"}, "X-Api-Key": {"secret"}, "Connection": {"close"}, "Content-Length": {"8"},
		"Content-Type": {"text/plain"}, "X-Csrf-Token": {"of the form"}, "Accept": {"text/html"}, "Accept-Encoding": {"gzip"},
	}
	got, err := held.Capture(r, target, limit)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"Content-Type": {"text/plain"}, "X-Csrf-Token": {"of the form"}, "Accept": {"text/html"}}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("captured header differs (-want +got):\n%s", diff)
	}
	r.Header["Content-Type"][0] = "altered"
	if got.Header["Content-Type"][0] != "text/plain" {
		t.Error("the captured header changes with the request's")
	}
}

func TestWhatCannotBeSentAgainIsNotHeld(t *testing.T) {
	tests := map[string]struct {
		alter func(r *http.Request)
		want  bool
	}{
		"a form":                    {func(*http.Request) {}, false},
		"upgrade-insecure-requests": {func(r *http.Request) { r.Header.Set("Upgrade-Insecure-Requests", "1") }, false},
		"a WebSocket":               {func(r *http.Request) { r.Header.Set("Upgrade", "websocket") }, true},
		"another upgrade":           {func(r *http.Request) { r.Header.Set("Upgrade", "h2c") }, true},
		"an empty upgrade":          {func(r *http.Request) { r.Header["Upgrade"] = []string{""} }, true},
		// RFC 8441: a WebSocket over HTTP/2 is a CONNECT with a path.
		"a tunnel": {func(r *http.Request) { r.Method = http.MethodConnect }, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := post(strings.NewReader("a=b"))
			tt.alter(r)
			if got := held.Unholdable(r); got != tt.want {
				t.Errorf("Unholdable() = %v, want %v", got, tt.want)
			}
			_, err := held.Capture(r, target, limit)
			if got := errors.Is(err, held.ErrUnholdable); got != tt.want {
				t.Errorf("Capture() = %v, want ErrUnholdable: %v", err, tt.want)
			}
			if body, err := io.ReadAll(r.Body); string(body) != "a=b" || err != nil {
				t.Errorf("the body is %q, %v afterwards", body, err)
			}
		})
	}
}

// Trailers come after the body and are not in what a page can show, nor would
// they be sent again. The server tells of them only when the body has been read.
func TestARequestWithTrailersIsNotHeldButCanGoOn(t *testing.T) {
	type outcome struct {
		err, read error
		body      string
	}
	outcomes := make(chan outcome, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := held.Capture(r, target, limit)
		body, read := io.ReadAll(r.Body)
		outcomes <- outcome{err, read, string(body)}
	}))
	defer server.Close()
	chunks := "3\r\na=1\r\n4\r\n&b=2\r\n0\r\n"
	tests := map[string]struct {
		head, tail string
		want       error
	}{
		"announced":   {"Trailer: X-Amount\r\n", "X-Amount: 9\r\n\r\n", held.ErrUnholdable},
		"unannounced": {"", "X-Amount: 9\r\n\r\n", held.ErrUnholdable},
		"none":        {"", "\r\n", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			var raw bytes.Buffer
			raw.WriteString("POST " + target + " HTTP/1.1\r\nHost: casino.example\r\nTransfer-Encoding: chunked\r\n")
			raw.WriteString(tt.head + "\r\n" + chunks + tt.tail)
			if _, err := conn.Write(raw.Bytes()); err != nil {
				t.Fatal(err)
			}
			if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
				t.Fatal(err)
			}
			got := <-outcomes
			if !errors.Is(got.err, tt.want) {
				t.Errorf("Capture() = %v, want %v", got.err, tt.want)
			}
			if got.body != "a=1&b=2" || got.read != nil {
				t.Errorf("the body is %q, %v afterwards", got.body, got.read)
			}
		})
	}
}
