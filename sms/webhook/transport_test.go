package webhook

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepgate/stepgate/sms"
)

func TestWhatWasCertainlyNotWrittenIsNotSent(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close() // nobody listens there now
	untrusted := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request came") }))
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	for name, address := range map[string]string{
		"nobody listens": "http://" + gone.Addr().String(), "nobody vouches": untrusted.URL, "no TLS": strings.Replace(serve(t, http.NotFoundHandler()), "http:", "https:", 1),
	} {
		_, err := newSender(t, Config{URL: address, Fields: plainFields}).Send(t.Context(), message)
		if sms.ClassOf(err) != sms.NotSent {
			t.Errorf("%s: Send = %v, want not_sent", name, err)
		}
	}
}

func TestNothingIsSentWhenNobodyWaits(t *testing.T) {
	p := &provider{t: t, status: 200}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newSender(t, Config{URL: serve(t, p), Fields: plainFields}).Send(ctx, message)
	if sms.ClassOf(err) != sms.NotSent || !errors.Is(err, context.Canceled) || len(p.got) > 0 {
		t.Errorf("Send = %v, and the provider got %v", err, p.got)
	}
}

func TestADialThatTakesTooLongIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		defer close(end) // net/http dials on for the next request
		dial := func(context.Context, string, string) (net.Conn, error) {
			<-end
			return nil, errors.New("nobody picks up")
		}
		s := newSender(t, Config{URL: "http://127.0.0.1/", Fields: plainFields, Transport: &http.Transport{DialContext: dial}, Timeout: 2 * time.Second})
		began := time.Now()
		_, err := s.Send(t.Context(), message)
		if took := time.Since(began); sms.ClassOf(err) != sms.NotSent || !errors.Is(err, context.DeadlineExceeded) || took != 2*time.Second {
			t.Errorf("Send = %v after %v, want not_sent after 2s", err, took)
		}
	})
}

// piped returns a transport whose connections end at talk, in the bubble of synctest.
func piped(talk func(net.Conn)) *http.Transport {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go talk(theirs)
		return ours, nil
	}}
}

func TestAnAnswerThatTakesTooLongMayHaveBeenSent(t *testing.T) {
	for configured, want := range map[time.Duration]time.Duration{0: 5 * time.Second, 3 * time.Second: 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			transport := piped(func(c net.Conn) {
				defer c.Close()
				_, _ = io.Copy(io.Discard, c) // until the sender gives up
			})
			s := newSender(t, Config{URL: "http://127.0.0.1/", Fields: plainFields, Transport: transport, Timeout: configured})
			began := time.Now()
			_, err := s.Send(t.Context(), message)
			if took := time.Since(began); sms.ClassOf(err) != sms.Unknown || !errors.Is(err, context.DeadlineExceeded) || took != want {
				t.Errorf("Send = %v after %v, want unknown after %v", err, took, want)
			}
		})
	}
}

// An answer that never ends must not hold a hand-over for longer than its time.
func TestAnAnswerThatTricklesEndsInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		transport := piped(func(c net.Conn) {
			defer close(done)
			defer c.Close()
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				t.Error(err)
			}
			_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
			for err == nil {
				time.Sleep(time.Second) // of the bubble's clock
				_, err = io.WriteString(c, " ")
			}
		})
		s := newSender(t, Config{URL: "http://127.0.0.1/", Fields: plainFields, Transport: transport, ID: "id"})
		began := time.Now()
		_, err := s.Send(t.Context(), message)
		if took := time.Since(began); sms.ClassOf(err) != sms.Unknown || took != 5*time.Second {
			t.Errorf("Send = %v after %v, want unknown after 5s", err, took)
		}
		<-done
	})
}

func TestAConnectionThatIsCutMayHaveBeenSent(t *testing.T) {
	for name, part := range map[string]string{
		"before the answer": "", "in the status": "HTTP/1.1 20", "in the header": "HTTP/1.1 200 OK\r\nContent-Le",
		"in the body": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":\"1\"}", "in a chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"id\":\"1\"}",
	} {
		cutting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, part)
			_ = conn.Close()
		})
		for _, c := range []Config{{Fields: plainFields}, {Body: BodyQuery, Fields: plainFields}} {
			c.URL, c.ID = serve(t, cutting), "id"
			if _, err := newSender(t, c).Send(t.Context(), message); err == nil || sms.ClassOf(err) != sms.Unknown {
				t.Errorf("%s, body %q: Send = %v, want unknown", name, c.Body, err)
			}
		}
	}
}

// net/http asks again by itself when a connection that it kept is cut. Each time would
// be a message more on the operator's bill.
func TestACutConnectionIsNotTriedAgain(t *testing.T) {
	for _, c := range []Config{{Fields: plainFields}, {Body: BodyQuery, Fields: plainFields}, {Body: BodyQuery, Method: "POST", Fields: plainFields}} {
		var requests atomic.Int32
		c.URL = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if requests.Add(1) > 1 {
				panic(http.ErrAbortHandler)
			}
		}))
		s := newSender(t, c)
		if _, err := s.Send(t.Context(), message); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Send(t.Context(), message); err == nil || sms.ClassOf(err) != sms.Unknown || requests.Load() != 2 {
			t.Errorf("body %q: the second Send = %v after %d requests, want unknown after 2", c.Body, err, requests.Load())
		}
	}
}

func TestAnAnswerIsReadUpTo64KiB(t *testing.T) {
	filled := func(n int) string { return fmt.Sprintf(`{"id":"7"%s}`, strings.Repeat(" ", n-len(`{"id":"7"}`))) }
	for size, want := range map[int]bool{maxAnswer: true, maxAnswer + 1: false, 1 << 20: false} {
		p := &provider{t: t, status: 200, answer: filled(size)}
		receipt, err := newSender(t, Config{URL: serve(t, p), Fields: plainFields, ID: "id"}).Send(t.Context(), message)
		if want && (err != nil || receipt.ID != "7") || !want && (err == nil || sms.ClassOf(err) != sms.Unknown) {
			t.Errorf("%d bytes: Send = %v, %v, want it accepted: %v", size, receipt, err, want)
		}
	}
}
