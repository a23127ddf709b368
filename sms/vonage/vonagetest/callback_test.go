package vonagetest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// transport answers callbacks with the status that a function gives.
type transport func(r *http.Request) int

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	status := f(r)
	if status == 0 {
		return nil, errors.New("nobody listens")
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: r}, nil
}

// shape returns the names in a JSON value, with those in what it holds.
func shape(v any) []string {
	var names []string
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			names = append(names, name)
			for _, below := range shape(inner) {
				names = append(names, name+"."+below)
			}
		}
	case []any:
		if len(v) > 0 {
			names = shape(v[0])
		}
	}
	slices.Sort(names)
	return names
}

func shapeOf(t *testing.T, body string) []string {
	t.Helper()
	return shape(received{body: body}.object(t))
}

// bodyOf reads a request's body.
func bodyOf(t *testing.T, r *http.Request) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// claimsOf reads the claims of a bearer token without verifying it.
func claimsOf(t *testing.T, authorization string) map[string]any {
	t.Helper()
	parts := strings.Split(strings.TrimPrefix(authorization, "Bearer "), ".")
	if len(parts) != 3 {
		t.Fatalf("the authorization %q bears no token", authorization)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return received{body: string(b)}.object(t)
}

func TestCallbacksHaveTheRecordedShape(t *testing.T) {
	o := options()
	o.StatusURL, o.VerifyURL = "https://gateway.test/status", "https://gateway.test/verify"
	s := New(o)
	message := Message{API: Messages, ID: uuid(), Channel: "sms", To: "6281234567890", From: "Example", ClientRef: "chal-1", Parts: 1, At: epoch}
	verification := Message{API: Verify, ID: uuid(), Channel: "sms", To: "6281234567890", ClientRef: "chal-1", At: epoch}
	for name, tt := range map[string]struct {
		message Message
		report  Report
	}{
		"messages-status-submitted":          {message, Report{Status: "submitted"}},
		"messages-status-delivered":          {message, Report{Status: "delivered"}},
		"messages-status-rejected-1120":      {message, Report{Status: "rejected", Code: "1120"}},
		"messages-status-undeliverable-1180": {message, Report{Status: "undeliverable", Code: "1180"}},
		"verify2-event-completed":            {verification, Report{Status: "completed"}},
		"verify2-summary-completed":          {verification, Report{Status: "completed", Summary: true}},
	} {
		t.Run(name, func(t *testing.T) {
			var recording struct {
				Request struct {
					Method, Body string
					Headers      map[string]string
				}
				Claims map[string]any
			}
			readJSON(t, "webhooks/"+name+".json", &recording)
			r, err := s.Callback(tt.message, tt.report)
			if err != nil {
				t.Fatal(err)
			}
			body := bodyOf(t, r)
			if got, want := shapeOf(t, body), shapeOf(t, recording.Request.Body); !slices.Equal(got, want) {
				t.Errorf("the body has %v, want %v", got, want)
			}
			if r.Method != recording.Request.Method || r.Header.Get("Content-Type") != recording.Request.Headers["content-type"] {
				t.Errorf("it comes as %s %s", r.Method, r.Header.Get("Content-Type"))
			}
			got := claimsOf(t, r.Header.Get("Authorization"))
			if !slices.Equal(shape(got), shape(recording.Claims)) || got["iss"] != "Vonage" || got["api_key"] != testKey || got["application_id"] != testApplication {
				t.Errorf("the claims are %v, want those of %v", got, recording.Claims)
			}
			object := received{body: body}.object(t)
			if object["status"] != tt.report.Status || object["client_ref"] != "chal-1" {
				t.Errorf("the body is %s", body)
			}
			if e, ok := object["error"].(map[string]any); ok && e["title"] != tt.report.Code {
				t.Errorf("the error is %v, want the code %s", e, tt.report.Code)
			}
		})
	}
	bare, err := s.Callback(message, Report{Status: "delivered", Unsigned: true})
	if err != nil || bare.Header.Get("Authorization") != "" {
		t.Errorf("an unsigned callback bears %q, %v", bare.Header.Get("Authorization"), err)
	}
}

func TestReceiptsComeInThreeShapesSignedAndUnsigned(t *testing.T) {
	var recording struct {
		SignedParams map[string]string
		Receipts     []struct{ Name, Method, ContentType string }
	}
	readJSON(t, "webhooks/sms-dlr.json", &recording)
	message := Message{API: SMS, ID: "0A0", IDs: []string{"0A0", "0A1"}, To: "6281234567890", From: "Example", ClientRef: "chal-1", Callback: "https://gateway.test/dlr?x=1"}
	for _, receipt := range recording.Receipts[:6] {
		t.Run(receipt.Name, func(t *testing.T) {
			o := options()
			o.SignReceipts = strings.Contains(receipt.Name, "-signed-")
			o.ReceiptShape = map[bool]Shape{true: JSON, false: Form}[strings.HasSuffix(receipt.Name, "json")]
			if receipt.Method == "GET" {
				o.ReceiptShape = Query
			}
			r, err := New(o).Callback(message, Report{Status: "failed", Code: "11", Part: 1})
			if err != nil {
				t.Fatal(err)
			}
			if r.Method != receipt.Method || r.Header.Get("Content-Type") != receipt.ContentType || r.URL.Query().Get("x") != "1" {
				t.Errorf("it comes as %s %s to %s", r.Method, r.Header.Get("Content-Type"), r.URL)
			}
			got := map[string]string{}
			body := bodyOf(t, r)
			values := r.URL.Query()
			values.Del("x")
			switch o.ReceiptShape {
			case JSON:
				if err := json.Unmarshal([]byte(body), &got); err != nil {
					t.Fatal(err)
				}
			case Form:
				if values, err = url.ParseQuery(body); err != nil {
					t.Fatal(err)
				}
			}
			for name := range values {
				got[name] = values.Get(name)
			}
			want := slices.Sorted(maps.Keys(recording.SignedParams))
			if !o.SignReceipts {
				want = slices.DeleteFunc(want, func(name string) bool { return name == "sig" || name == "nonce" || name == "timestamp" })
			} else if sig := Sign(SHA256, testSignature, got); !strings.EqualFold(got["sig"], sig) {
				t.Errorf("sig = %s, want %s", got["sig"], sig)
			}
			if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
				t.Errorf("it has %v, want %v", names, want)
			}
			if got["status"] != "failed" || got["err-code"] != "11" || got["messageId"] != "0A1" || got["client-ref"] != "chal-1" || got["scts"] != "2609211413" || got["message-timestamp"] != "2026-09-21 14:13:20" {
				t.Errorf("it says %v", got)
			}
		})
	}
}

// gateway takes callbacks, and remembers their status in the order of their arrival.
type gateway struct {
	mu       sync.Mutex // guards statuses
	statuses []string
	answer   func(n int) int // by the number of the callback, from 1
}

func (g *gateway) RoundTrip(r *http.Request) (*http.Response, error) {
	var body struct{ Status string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.statuses = append(g.statuses, body.Status)
	n := len(g.statuses)
	g.mu.Unlock()
	return transport(func(*http.Request) int { return g.answer(n) }).RoundTrip(r)
}

func (g *gateway) got() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.statuses, " ")
}

func good(int) int { return 200 }

func TestReportsComeBeforeTheAnswerTwiceAndOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answer: good}
		o := options()
		o.StatusURL, o.Transport = "https://gateway.test/status", g
		s := New(o)
		client := s.Client(t)
		release := make(chan struct{})
		s.Next(Behaviour{
			Before: []Report{{Status: "delivered"}, {Status: "delivered"}}, Hold: release, After: []Report{{Status: "submitted"}},
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = try(t.Context(), client, "https://api.nexmo.com", messagesRequest(goodMessage))
		}()
		synctest.Wait()
		if got := g.got(); got != "delivered delivered" {
			t.Errorf("before the answer came %q", got)
		}
		close(release)
		<-done
		if err := s.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := g.got(); got != "delivered delivered submitted" {
			t.Errorf("in the end came %q", got)
		}
		send(t, client, messagesRequest(goodMessage))
		synctest.Wait()
		if n := len(s.Deliveries()); n != 3 {
			t.Errorf("%d callbacks, want 3: a message has none unless it is told", n)
		}
	})
}

// A client that saw nothing but a broken connection still gets the receipt.
func TestAMessageWhoseAnswerIsLostIsReportedOn(t *testing.T) {
	for name, b := range map[string]Behaviour{"dropped": Dropped(), "truncated": Truncated()} {
		g := &gateway{answer: good}
		o := options()
		o.StatusURL, o.Transport = "https://gateway.test/status", g
		s := New(o)
		b.After = []Report{{Status: "delivered"}}
		s.Next(b)
		if _, err := try(t.Context(), s.Client(t), "https://api.nexmo.com", messagesRequest(goodMessage)); err == nil {
			t.Errorf("%s: there was an answer", name)
		}
		if err := s.until(t.Context(), func() bool { return len(s.deliveries) == 1 }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCallbacksAreRepeatedUntilTheyAreTaken(t *testing.T) {
	for _, tt := range []struct {
		name    string
		request request
		answer  func(n int) int
		tries   int
		took    time.Duration
	}{
		{"a status that is taken", messagesRequest(goodMessage), good, 1, 0},
		{"a status that is refused", messagesRequest(goodMessage), func(int) int { return 401 }, 1, 0},
		{"a status after errors", messagesRequest(goodMessage), func(n int) int { return []int{500, 429, 0, 200}[n-1] }, 4, 35 * time.Second},
		{"a receipt after errors", smsRequest(goodSMS), func(n int) int { return []int{503, 503, 200}[n-1] }, 3, 2 * time.Minute},
		{"a receipt that is never taken", smsRequest(goodSMS), func(int) int { return 500 }, 72*60 + 1, 72 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{answer: tt.answer}
				o := options()
				o.Now, o.Transport = time.Now, g
				o.StatusURL, o.ReceiptURL = "https://gateway.test/status", "https://gateway.test/dlr"
				s := New(o)
				s.Next(Behaviour{After: []Report{{Status: "delivered"}}})
				began := time.Now()
				send(t, s.Client(t), tt.request)
				if err := s.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n, took := len(s.Deliveries()), time.Since(began); n != tt.tries || took != tt.took {
					t.Errorf("%d tries in %s, want %d in %s", n, took, tt.tries, tt.took)
				}
			})
		})
	}
}

func TestCloseEndsWhatIsStillToBeRepeated(t *testing.T) {
	g := &gateway{answer: func(int) int { return 500 }}
	o := options()
	o.StatusURL, o.Transport = "https://gateway.test/status", g
	s := New(o)
	s.Next(Behaviour{After: []Report{{Status: "delivered"}}})
	send(t, s.Client(t), messagesRequest(goodMessage))
	if err := s.until(t.Context(), func() bool { return len(s.deliveries) == 1 }); err != nil {
		t.Fatal(err)
	}
	s.Close() // comes back
	if n := len(s.Deliveries()); n > 2 {
		t.Errorf("%d tries, want no more after Close", n)
	}
}

func TestACallbackWithoutAnAddressIsAnError(t *testing.T) {
	s := New(options())
	s.Next(Behaviour{After: []Report{{Status: "delivered"}}})
	send(t, s.Client(t), messagesRequest(goodMessage))
	if _, err := s.Report(t.Context(), s.Outbox()[0], Report{Status: "delivered"}); !errors.Is(err, errNoAddress) {
		t.Errorf("Report = %v, want %v", err, errNoAddress)
	}
	if err := s.Settle(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAFloodOfCallbacksCountsTheAnswers(t *testing.T) {
	var mu sync.Mutex // guards n
	n := 0
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n > 100 {
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer site.Close()
	s := New(options())
	send(t, s.Client(t), messagesRequest(edit(t, goodMessage, "webhook_url", site.URL)))
	if got := s.Flood(t.Context(), s.Outbox()[0], Report{Status: "delivered"}, 300); got[200] != 100 || got[429] != 200 {
		t.Errorf("answered %v, want 200 a hundred times and 429 for the rest", got)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := New(options()).Await(ctx, 1); !errors.Is(err, context.Canceled) || got != nil {
		t.Errorf("Await = %v, %v, want that it was cancelled", got, err)
	}
}
