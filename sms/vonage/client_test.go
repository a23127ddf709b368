package vonage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepgate/stepgate/sms"
)

func TestWhatWasNeverConnectedWasNotSent(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	stranger := httptest.NewUnstartedServer(nil) // whose certificate nobody trusts
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.StartTLS()
	defer stranger.Close()
	dial := func(err error) *http.Transport {
		return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name      string
		ctx       context.Context
		url       string
		transport *http.Transport
	}{
		{"a closed port", t.Context(), closed.URL, nil},
		{"a certificate that is not trusted", t.Context(), stranger.URL, nil},
		{"a name that is not known", t.Context(), DefaultURL, dial(&net.DNSError{Err: "no such host", Name: "api.nexmo.com", IsNotFound: true})},
		{"a context that is done", cancelled, DefaultURL, dial(errors.New("dialled all the same"))},
	} {
		config := messagesConfig(c.url)
		config.Transport = c.transport
		_, err := must(t, NewMessages, config).Send(c.ctx, testMessage)
		if err == nil || sms.ClassOf(err) != sms.NotSent {
			t.Errorf("%s: Send = %v, want not_sent", c.name, err)
			continue
		}
		checkSilent(t, err, documented{})
	}
}

func TestATimeoutWhileDiallingIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := messagesConfig("")
		over := make(chan struct{}) // a dial outlives its request, for the next one
		defer close(over)
		config.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			<-over
			return nil, net.ErrClosed
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err := must(t, NewMessages, config).Send(ctx, testMessage)
		if sms.ClassOf(err) != sms.NotSent || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("Send = %v after %v, want not_sent after 5s", err, time.Since(start))
		}
	})
}

// piped is a transport of one connection, whose other end answer has.
func piped(answer func(net.Conn)) *http.Transport {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go answer(there)
		return here, nil
	}}
}

func TestATimeoutAfterWritingIsUnknown(t *testing.T) {
	for name, read := range map[string]int64{"the whole request": 1 << 20, "nothing of it": 0} {
		synctest.Test(t, func(t *testing.T) {
			config := messagesConfig("http://127.0.0.1")
			config.Transport = piped(func(c net.Conn) {
				_, _ = io.CopyN(io.Discard, c, read) // and not a word
			})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := must(t, NewMessages, config).Send(ctx, testMessage)
			if err == nil || sms.ClassOf(err) != sms.Unknown || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s is read: Send = %v, want unknown", name, err)
			}
			config.Transport.CloseIdleConnections()
		})
	}
}

func TestARequestWhoseContextNeverEndsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := messagesConfig("http://127.0.0.1")
		config.Transport = piped(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		start := time.Now()
		_, err := must(t, NewMessages, config).Send(t.Context(), testMessage)
		if err == nil || sms.ClassOf(err) != sms.Unknown || time.Since(start) != lastTimeout {
			t.Errorf("Send = %v after %v, want unknown after %v", err, time.Since(start), lastTimeout)
		}
	})
}

func TestAConnectionThatIsCutAfterTheRequestIsUnknown(t *testing.T) {
	for name, wire := range map[string]string{
		"before the answer": "",
		"in its head":       "HTTP/1.1 202 Acc",
		"in its body":       "HTTP/1.1 202 Accepted\r\nContent-Length: 60\r\n\r\n{\"message_uuid\":\"a\"}",
		"in a chunk":        "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{\"message_uuid\":\"a\"}\r\n",
		"in its refusal":    "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 60\r\n\r\n{",
		"without HTTP":      "6281234567890 123456\r\n\r\n",
	} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, wire)
		})
		_, err := must(t, NewMessages, messagesConfig(url)).Send(t.Context(), testMessage)
		if err == nil || sms.ClassOf(err) != sms.Unknown {
			t.Errorf("cut %s: Send = %v, want unknown", name, err)
			continue
		}
		checkSilent(t, err, documented{})
	}
}

// HTTP/2 has connections of its own, which the transport tells of in another place.
func TestAStreamThatIsResetIsUnknown(t *testing.T) {
	protocol := ""
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		protocol = r.Proto
		panic(http.ErrAbortHandler)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	config := messagesConfig(server.URL)
	config.Transport = newTransport()
	config.Transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	_, err := must(t, NewMessages, config).Send(t.Context(), testMessage)
	if err == nil || sms.ClassOf(err) != sms.Unknown || protocol != "HTTP/2.0" {
		t.Errorf("Send = %v over %s, want unknown over HTTP/2.0", err, protocol)
	}
}

// Credentials and codes are for Vonage, not for whom it, or whatever stands between,
// names.
func TestRedirectsAreNotFollowed(t *testing.T) {
	followed := false
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { followed = true })
	for _, status := range []int{301, 302, 307, 308} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, status) })
		_, err := must(t, NewMessages, basicMessagesConfig(url)).Send(t.Context(), testMessage)
		if err == nil || sms.ClassOf(err) != sms.Unknown || followed {
			t.Errorf("redirected with %d: Send = %v, followed %t, want unknown and not followed", status, err, followed)
		}
	}
}

func TestOneConnectionServesManyMessages(t *testing.T) {
	connections := map[string]bool{}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		connections[r.RemoteAddr] = true
		w.WriteHeader(202)
		io.WriteString(w, `{"message_uuid":"a"}`)
	})
	s := must(t, NewMessages, messagesConfig(url))
	for range 5 {
		if _, err := s.Send(t.Context(), testMessage); err != nil {
			t.Fatal(err)
		}
	}
	if len(connections) != 1 {
		t.Errorf("5 messages took %d connections, want 1", len(connections))
	}
}

func TestATokenNeedsRandomness(t *testing.T) {
	config := messagesConfig("http://127.0.0.1:1")
	config.Rand = strings.NewReader("too short")
	_, err := must(t, NewMessages, config).Send(t.Context(), testMessage)
	if sms.ClassOf(err) != sms.NotSent || !strings.Contains(fmt.Sprint(err), "randomness") {
		t.Errorf("Send = %v, want not_sent for want of randomness", err)
	}
}
