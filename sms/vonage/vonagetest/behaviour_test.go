package vonagetest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestARequestFailsAsItIsTold(t *testing.T) {
	tests := []struct {
		name      string
		behaviour Behaviour
		status    int // 0 for no answer
		body      string
		err       error
		sent      int
	}{
		{"dropped", Dropped(), 0, "", io.EOF, 1},
		{"lost", Lost(), 0, "", io.EOF, 0},
		{"truncated", Truncated(), 0, "", io.ErrUnexpectedEOF, 1},
		{"throttled", Throttled(), 429, "Rate Limit Hit", nil, 0},
		{"an internal error", InternalError(), 500, "Internal error", nil, 0},
		{"a proxy's page", HTML(200), 200, "<html>", nil, 0},
		{"a proxy's page, after the message was sent", Behaviour{Answer: HTML(502).Answer, Anyway: true}, 502, "<html>", nil, 1},
		{"another header", Behaviour{Answer: &Answer{503, http.Header{"Retry-After": {"7"}}, []byte("later")}}, 503, "later", nil, 0},
	}
	for _, network := range []string{"memory", "TCP"} {
		for _, tt := range tests {
			t.Run(network+"/"+tt.name, func(t *testing.T) {
				s := New(options())
				client, base := http.DefaultClient, ""
				if network == "TCP" {
					base = s.Start(t)
				} else {
					client, base = s.Client(t), "https://api.nexmo.com"
				}
				s.Next(tt.behaviour)
				got, err := try(t.Context(), client, base, messagesRequest(goodMessage))
				if tt.err != nil {
					if !errors.Is(err, tt.err) {
						t.Errorf("got %d %q, %v, want %v", got.status, got.body, err, tt.err)
					}
				} else if err != nil || got.status != tt.status || !strings.Contains(got.body, tt.body) {
					t.Errorf("got %d %q, %v, want %d %q", got.status, got.body, err, tt.status, tt.body)
				}
				if n := len(s.Outbox()); n != tt.sent {
					t.Errorf("%d messages were sent, want %d", n, tt.sent)
				}
				if got, err := try(t.Context(), client, base, messagesRequest(goodMessage)); err != nil || got.status != 202 {
					t.Errorf("the request after it: %d, %v, want 202", got.status, err)
				}
			})
		}
	}
}

func TestTheStatusesOfPartsCanDiffer(t *testing.T) {
	s := New(options())
	client := s.Client(t)
	s.Next(SMSStatus(0, 1))
	got := send(t, client, smsRequest(goodSMS)).object(t)
	entries, _ := got["messages"].([]any)
	if got["message-count"] != "2" || len(entries) != 2 || entries[0].(map[string]any)["status"] != "0" || entries[1].(map[string]any)["error-text"] != "Throttled" {
		t.Errorf("answered %v", got)
	}
}

func TestAScriptSeesEachRequest(t *testing.T) {
	s := New(options())
	client := s.Client(t)
	s.Behave(func(r Request) Behaviour {
		if r.API == Messages && r.To == "6281234567890" && r.ClientRef == "chal-1" && r.N > 1 {
			return InternalError()
		}
		return Behaviour{}
	})
	s.Storm(2)
	want := []int{429, 429, 500, 200, 202}
	for i, r := range []request{messagesRequest(goodMessage), messagesRequest(goodMessage), messagesRequest(goodMessage), smsRequest(goodSMS), verifyRequest(goodVerify)} {
		if got := send(t, client, r); got.status != want[i] {
			t.Errorf("request %d: answered %d, want %d", i+1, got.status, want[i])
		}
	}
	s.Behave(nil)
	if got := send(t, client, messagesRequest(goodMessage)); got.status != 202 {
		t.Errorf("without the script: answered %d, want 202", got.status)
	}
	requests := s.Requests()
	if len(requests) != 6 || requests[4].API != Verify || requests[4].To != "6281234567890" || requests[3].Text != "123456" || requests[3].N != 4 || requests[5].Header.Get("Authorization") != basicHeader {
		t.Errorf("the requests were %+v", requests)
	}
}

func TestAnAnswerIsHeldUntilAChannelIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(options())
		client := s.Client(t)
		release := make(chan struct{})
		s.Next(Behaviour{Hold: release})
		answered := make(chan received)
		go func() {
			got, _ := try(t.Context(), client, "https://api.nexmo.com", messagesRequest(goodMessage))
			answered <- got
		}()
		synctest.Wait()
		if n := len(s.Outbox()); n != 1 {
			t.Errorf("%d messages were sent while the answer was held, want 1", n)
		}
		select {
		case got := <-answered:
			t.Errorf("answered %d before the channel was closed", got.status)
		default:
		}
		close(release)
		if got := <-answered; got.status != 202 {
			t.Errorf("answered %d, want 202", got.status)
		}
	})
}

func TestALateAnswerTakesNoTimeInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.Now = time.Now
		s := New(o)
		client := s.Client(t)
		s.Behave(Always(Behaviour{Latency: time.Hour}))
		began := time.Now()
		if got := send(t, client, messagesRequest(goodMessage)); got.status != 202 || time.Since(began) != time.Hour {
			t.Errorf("answered %d after %s, want 202 after an hour", got.status, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := try(ctx, client, "https://api.nexmo.com", messagesRequest(goodMessage)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a client that waits a minute: %v, want that its time is up", err)
		}
		if n := len(s.Outbox()); n != 2 {
			t.Errorf("%d messages were sent, want 2: a time-out can mean that a message was sent", n)
		}
	})
}

func TestConnectionsAreRefused(t *testing.T) {
	for _, network := range []string{"memory", "TCP"} {
		t.Run(network, func(t *testing.T) {
			s := New(options())
			client, base := http.DefaultClient, ""
			if network == "TCP" {
				base = s.Start(t)
			} else {
				client, base = s.Client(t), "https://api.nexmo.com"
			}
			for range 2 {
				if got, err := try(t.Context(), client, base, messagesRequest(goodMessage)); err != nil || got.status != 202 {
					t.Fatalf("before and after: %d, %v, want 202", got.status, err)
				}
				s.Refuse()
				// The client may not have seen yet that the connection which it keeps for
				// the next request is dead.
				client.CloseIdleConnections()
				_, err := try(t.Context(), client, base, messagesRequest(goodMessage))
				if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" || !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("while it refuses: %v, want a refused connection", err)
				}
				s.Accept()
			}
			if n := len(s.Outbox()); n != 2 {
				t.Errorf("%d messages were sent, want 2", n)
			}
		})
	}
}

func TestTheServerIsAHandler(t *testing.T) {
	s := New(options())
	r := httptest.NewRequest("POST", "/v1/messages", strings.NewReader(goodMessage))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("Authorization", basicHeader)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 202 {
		t.Errorf("answered %d %s, want 202", w.Code, w.Body)
	}
}

func TestManyRequestsAtOnceAreEachAnswered(t *testing.T) {
	const workers, each = 20, 100
	o := options()
	o.ReceiptURL = "http://gateway.test/dlr"
	o.Transport = transport(func(*http.Request) int { return 200 })
	s := New(o)
	base := s.Start(t)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	defer client.CloseIdleConnections()
	s.Behave(Always(Behaviour{Before: []Report{{Status: "accepted"}}, After: []Report{{Status: "delivered"}}}))
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range each {
				got, err := try(t.Context(), client, base, smsRequest(goodSMS))
				if err != nil || got.status != 200 || statusOf(t, got) != "0" {
					t.Errorf("answered %d %s, %v", got.status, got.body, err)
					return
				}
			}
		})
	}
	if _, err := s.Await(t.Context(), workers*each); err != nil {
		t.Error(err)
	}
	group.Wait()
	if err := s.Settle(t.Context()); err != nil {
		t.Error(err)
	}
	ids := map[string]bool{}
	for _, m := range s.Outbox() {
		ids[m.ID] = true
	}
	if n := len(s.Deliveries()); len(ids) != workers*each || n != 2*workers*each {
		t.Errorf("%d different ids and %d callbacks, want %d and %d", len(ids), n, workers*each, 2*workers*each)
	}
}

func TestOfManyStartsToOneNumberOneIsAccepted(t *testing.T) {
	s := New(options())
	client := s.Client(t)
	statuses := make(chan int)
	for range 50 {
		go func() {
			got, _ := try(t.Context(), client, "https://api.nexmo.com", verifyRequest(goodVerify))
			statuses <- got.status
		}()
	}
	counts := map[int]int{}
	for range 50 {
		counts[<-statuses]++
	}
	if counts[202] != 1 || counts[409] != 49 {
		t.Errorf("answered %v, want 202 once and 409 for the rest", counts)
	}
}
