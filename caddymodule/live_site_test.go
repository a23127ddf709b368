package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stepgate/stepgate/examples/casino"
)

// site is the casino, which records what reaches it.
type site struct {
	server *httptest.Server
	casino *casino.Site
	// asked counts the questions of who is logged in.
	asked atomic.Int64

	mu   sync.Mutex // guards the rest
	hits []hit
	// pause, if set, is closed by the test to let requests to /slow and questions
	// of who is logged in go on; paused tells that one waits.
	pause  chan struct{}
	paused chan struct{}
}

type hit struct {
	method, uri, body string
	header            http.Header
}

func newSite(t *testing.T) *site {
	s := &site{casino: casino.New(casino.Options{}), paused: make(chan struct{}, 100)}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	// So that connections end with their requests, and can be counted.
	s.server.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(s.server.Close)
	return s
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	question := r.URL.Path == "/api/me" && r.UserAgent() == "Stepgate"
	s.mu.Lock()
	pause := s.pause
	if question {
		s.asked.Add(1)
	} else {
		s.hits = append(s.hits, hit{r.Method, r.RequestURI, string(body), r.Header.Clone()})
	}
	s.mu.Unlock()
	if pause != nil && (question || r.URL.Path == "/slow") {
		s.paused <- struct{}{}
		select {
		case <-pause:
		case <-r.Context().Done():
			return
		}
	}
	switch r.URL.Path {
	case "/slow":
		fmt.Fprint(w, "site: slow")
	case "/ws", "/ws/private":
		echo(w)
	case "/verify":
		s.verify(w, r)
	case "/live/private":
		r.URL.Path = "/live"
		s.casino.ServeHTTP(w, r)
	default:
		s.casino.ServeHTTP(w, r)
	}
}

// verify is what forward_auth asks: who is logged in, as headers.
func (s *site) verify(w http.ResponseWriter, r *http.Request) {
	question, err := http.NewRequest("GET", "/api/me", nil)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	question.Header = r.Header
	answer := httptest.NewRecorder()
	s.casino.ServeHTTP(answer, question)
	var me struct{ ID, Phone string }
	if answer.Code != http.StatusOK || json.Unmarshal(answer.Body.Bytes(), &me) != nil {
		return // a visitor, who may look around
	}
	w.Header().Set("Remote-User", me.ID)
	w.Header().Set("Remote-Phone", me.Phone)
}

// echo switches protocols and sends back each byte that comes.
func echo(w http.ResponseWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = io.Copy(conn, rw)
}

// reached returns the requests for a target that the site got.
func (s *site) reached(uri string) []hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []hit
	for _, h := range s.hits {
		if h.uri == uri {
			found = append(found, h)
		}
	}
	return found
}

func (s *site) all() []hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]hit(nil), s.hits...)
}

// hold makes requests to /slow and identity questions wait until the returned
// function is called.
func (s *site) hold() (release func()) {
	ch := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pause = ch
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.pause = nil
		s.mu.Unlock()
		close(ch)
	})
}
