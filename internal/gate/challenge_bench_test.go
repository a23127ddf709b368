package gate_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/pgserver"
	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
	"github.com/stepgate/stepgate/store/postgres"
)

// crowd is players without number, whose site knows a phone for each.
type crowd struct{}

func (crowd) Credential(r *http.Request) (identity.Credential, error) {
	c, err := r.Cookie("session")
	if err != nil {
		return identity.Credential{}, identity.ErrAnonymous
	}
	return identity.Credential{Kind: identity.Cookie, Name: "session", Value: c.Value}, nil
}

func (crowd) Identify(_ context.Context, _ *http.Request, c identity.Credential) (identity.Identity, error) {
	return identity.Identity{Subject: c.Value, Login: c.Value, Phone: phoneOf(c.Value)}, nil
}

// phoneOf returns the number of the player with a session "p" and a number.
func phoneOf(session string) string { return "+62812" + fmt.Sprintf("%07s", session[1:]) }

// mailroom delivers codes to who waits for them, by number.
type mailroom struct {
	mu    sync.Mutex
	codes map[string]string
}

func (m *mailroom) Send(_ context.Context, msg sms.Message) (sms.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.codes[msg.To.E164()] = msg.Code
	return sms.Receipt{}, nil
}

func (m *mailroom) take(number string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	code := m.codes[number]
	delete(m.codes, number)
	return code
}

// arena is a gate over a store, as challenges are measured in it.
type arena struct {
	gate  *gate.Gate
	codes *mailroom
}

func newArena(b *testing.B, s store.Store) *arena {
	b.Helper()
	ring, err := seal.NewRing(rand.Reader, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	back, err := gate.NewBackend(s, ring, rand.Reader, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	set, err := policy.Compile(hotRules(statement))
	if err != nil {
		b.Fatal(err)
	}
	pages, err := challengepages.New(challengepages.Brand{Name: "Example Casino"})
	if err != nil {
		b.Fatal(err)
	}
	a := &arena{codes: &mailroom{codes: map[string]string{}}}
	a.gate, err = gate.New(gate.Config{
		Policy: set, Identity: crowd{}, Pages: pages, SMS: carried(b, a.codes, smsguard.Limits{}, time.Now),
		Backend: func(context.Context) (*gate.Backend, error) { return back, nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	return a
}

// pass opens a challenge for a player and answers it, as an app does.
func (a *arena) pass(session string) error {
	opened := a.ask("GET", guardedPath, session, "")
	var p problemJSON
	if err := json.Unmarshal(opened.Body.Bytes(), &p); err != nil || opened.Code != http.StatusUnauthorized {
		return fmt.Errorf("opening: status %d, %w", opened.Code, err)
	}
	cookies := "session=" + session
	for _, c := range opened.Result().Cookies() {
		cookies += "; " + c.Name + "=" + c.Value
	}
	passed := a.ask("POST", p.Challenge.URL, session, answer("sms", a.codes.take(phoneOf(session))), cookies)
	if passed.Code != http.StatusOK {
		return fmt.Errorf("answering: status %d: %s", passed.Code, passed.Body)
	}
	return nil
}

func (a *arena) ask(method, target, session, body string, cookies ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "casino.example"
	r.Header = http.Header{
		"Accept": {"application/json"}, "Content-Type": {"application/json"},
		"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"},
		"Cookie": {append(cookies, "session="+session)[0]},
	}
	rec := httptest.NewRecorder()
	if err := a.gate.Serve(rec, r, new(counter)); err != nil {
		rec.Code = http.StatusInternalServerError
	}
	return rec
}

// benchStores are the stores that challenges are measured on, durable as in service.
var benchStores = []struct {
	name string
	open func(b *testing.B) store.Store
}{
	{"bolt", func(b *testing.B) store.Store {
		s, err := bolt.Open(filepath.Join(b.TempDir(), "stepgate.db"), bolt.Options{})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}},
	{"postgres", func(b *testing.B) store.Store {
		server := pgtest.Own(b, pgserver.Options{Durable: true, Settings: []string{"shared_buffers=512MB"}})
		s, err := postgres.Open(b.Context(), server.DSN(), postgres.Options{MaxConns: 8, Timeout: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}},
}

// BenchmarkChallenge is a challenge from its opening to its passing: the code is sent
// and entered, and everything is durable before it is answered. Besides the time of
// each it gives the challenges in a second and the latency of one.
func BenchmarkChallenge(b *testing.B) {
	for _, st := range benchStores {
		for _, clients := range []int{1, 32} {
			b.Run(fmt.Sprintf("store=%s/clients=%d", st.name, clients), func(b *testing.B) {
				s := st.open(b)
				b.Cleanup(func() { _ = s.Close() })
				measureChallenges(b, newArena(b, s), clients)
			})
		}
	}
}

// measureChallenges has so many clients pass challenges, each time of a player of
// whom nothing is known yet.
func measureChallenges(b *testing.B, a *arena, clients int) {
	var next atomic.Int64
	took := make([][]time.Duration, clients)
	errs := make([]error, clients)
	var all sync.WaitGroup
	b.ResetTimer()
	for c := range clients {
		all.Go(func() {
			for n := next.Add(1); n <= int64(b.N) && errs[c] == nil; n = next.Add(1) {
				began := time.Now()
				errs[c] = a.pass(fmt.Sprintf("p%d", n))
				took[c] = append(took[c], time.Since(began))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
	sorted := slices.Concat(took...)
	slices.Sort(sorted)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "challenges/s")
	b.ReportMetric(float64(sorted[len(sorted)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(sorted[len(sorted)*99/100].Microseconds()), "p99-us")
}
