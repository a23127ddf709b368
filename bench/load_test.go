package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func openSite(t *testing.T) *site {
	t.Helper()
	s, err := newSite()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func openLoad(t *testing.T, addr string, connections int) *load {
	t.Helper()
	l, err := newLoad(addr, requestBytes(openPath, siteCookies), connections)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

func TestALoadSendsExactlyAsManyRequestsAsAsked(t *testing.T) {
	s := openSite(t)
	l := openLoad(t, s.addr, 8)
	for _, n := range []int{100, 8, 1} {
		before := s.pages.Load()
		took, err := l.run(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.pages.Load() - before; got != int64(n) || len(took) != n {
			t.Errorf("%d requests reached the site and %d were timed, want %d", got, len(took), n)
		}
		if slices.Min(took) <= 0 {
			t.Errorf("a request took no time: %v", took)
		}
	}
}

// A refusal costs less than a page; counted as one, it would flatter the gateway.
func TestALoadFailsOnAnythingButTheSitesPage(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a refusal":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"an empty answer": func(http.ResponseWriter, *http.Request) {},
		"another page":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("challenge")) },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(answer)
			t.Cleanup(server.Close)
			if _, err := openLoad(t, server.Listener.Addr().String(), 2).run(t.Context(), 10); err == nil {
				t.Error("run = nil, want an error")
			}
		})
	}
}

func TestALoadDoesNotOutliveItsContext(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	l := openLoad(t, mute.Addr().String(), 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.run(ctx, 10); err == nil {
		t.Error("run = nil although nobody answers")
	}
}

func TestTheVariantsSendRequestsOfTheSameLength(t *testing.T) {
	open, guarded := requestBytes(openPath, siteCookies), requestBytes(guardedPath, siteCookies)
	if len(open) != len(guarded) {
		t.Errorf("the requests have %d and %d bytes", len(open), len(guarded))
	}
	if !strings.Contains(string(open), "\r\nCookie: "+siteCookies+"\r\n\r\n") {
		t.Errorf("the request ends otherwise than with its cookies:\n%s", open)
	}
}
