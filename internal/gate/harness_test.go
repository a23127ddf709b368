package gate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/rand"

	"github.com/pquerna/otp/totp"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/sms/failover"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
)

// world is a gate in front of a site, with everything that it depends on.
type world struct {
	t      *testing.T
	gate   *gate.Gate
	site   *site
	phone  *phone
	source *source
	// identity is what the gate asks: source, or what stands before it.
	identity identity.Source
	clock    *clock
	back     *gate.Backend
	// extra are rules beside those that every world has.
	extra []policy.Rule
	// down, if set, is the error with which the backend cannot be had.
	down   error
	mu     sync.Mutex
	events []audit.Event
}

type clock struct {
	mu sync.Mutex
	at time.Time
	// since is from when on it goes with the machine's clock; zero for never.
	since time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		return c.at
	}
	return c.at.Add(time.Since(c.since))
}

// run makes the clock go, for tests in a bubble of testing/synctest.
func (c *clock) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = time.Now()
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// site records what reaches it.
type site struct {
	mu   sync.Mutex
	hits []hit
	// login is the session that a login gets, if the password is right; renewed what
	// every request to /renew gets.
	login, renewed string
}

type hit struct {
	method, uri, body string
	header            http.Header
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the request broke off", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.hits = append(s.hits, hit{r.Method, r.URL.RequestURI(), string(body), r.Header.Clone()})
	login, renewed := s.login, s.renewed
	s.mu.Unlock()
	if r.URL.Path == "/login" && strings.Contains(string(body), "password=rahasia") && login != "" {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: login})
	}
	if renewed != "" {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: renewed})
	}
	fmt.Fprintf(w, "site: %s %s", r.Method, r.URL.Path)
}

func (s *site) all() []hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]hit(nil), s.hits...)
}

// phone is a sender that keeps what it is given.
type phone struct {
	mu   sync.Mutex
	sent []sms.Message
	err  error
}

func (p *phone) Send(_ context.Context, m sms.Message) (sms.Receipt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return sms.Receipt{}, p.err
	}
	p.sent = append(p.sent, m)
	return sms.Receipt{}, nil
}

// carried returns what has a sender carry SMS, within limits, without watching whether
// codes come back.
func carried(t testing.TB, by sms.Sender, limits smsguard.Limits, now func() time.Time) *courier.Courier {
	t.Helper()
	router, err := failover.New(failover.Config{Providers: []failover.Provider{{Name: "main", Sender: by, PerSecond: 1e6}}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := smsguard.New(smsguard.Config{Limits: limits, Conversion: smsguard.Conversion{Off: true}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return &courier.Courier{Carrier: router, Guard: guard}
}

func (p *phone) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

func (p *phone) last(t *testing.T) sms.Message {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sent) == 0 {
		t.Fatal("no SMS was sent")
	}
	return p.sent[len(p.sent)-1]
}

// source knows the players by the value of the cookie "session" or of a bearer
// token: "budi" or "budi.2" for a second session.
type source struct {
	mu     sync.Mutex
	phones map[string]string
	err    error
}

func (s *source) Credential(r *http.Request) (identity.Credential, error) {
	var found []identity.Credential
	for _, c := range r.CookiesNamed("session") {
		found = append(found, identity.Credential{Kind: identity.Cookie, Name: "session", Value: c.Value})
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		found = append(found, identity.Credential{Kind: identity.Bearer, Name: "Authorization", Value: token})
	}
	switch len(found) {
	case 0:
		return identity.Credential{}, identity.ErrAnonymous
	case 1:
		return found[0], nil
	default:
		return identity.Credential{}, identity.ErrAmbiguous
	}
}

func (s *source) Identify(_ context.Context, _ *http.Request, c identity.Credential) (identity.Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return identity.Identity{}, s.err
	}
	name, _, _ := strings.Cut(c.Value, ".")
	phone, ok := s.phones[name]
	if !ok {
		return identity.Identity{}, identity.ErrAnonymous
	}
	return identity.Identity{Subject: "id-" + name, Login: name, Phone: phone}, nil
}

// next is the site behind the gate. A released request comes back to the gate,
// as it does through Caddy.
type next struct{ w *world }

func (n next) Forward(w http.ResponseWriter, r *http.Request) error {
	n.w.site.ServeHTTP(w, r)
	return nil
}

func (n next) Release(w http.ResponseWriter, r *http.Request) error {
	return n.w.gate.Serve(w, r, n)
}

func rules() []policy.Rule {
	return []policy.Rule{
		{
			Name: "withdrawal", Paths: []string{"/wallet/withdraw*", "/api/v1/withdrawals"}, Methods: []string{"POST"}, SingleUse: true,
			Details: []policy.Detail{
				{Label: "amount", Source: policy.FromForm, Name: "amount"}, {Label: "to", Source: policy.FromForm, Name: "account"},
				{Label: "amount", Source: policy.FromJSON, Name: "amount"}, {Label: "to", Source: policy.FromJSON, Name: "account"},
			},
			Unenrolled: policy.UnenrolledRegisteredPhone, Anonymous: policy.AnonymousLogin,
		},
		{Name: "contact", Paths: []string{"/account/email", "/account/phone"}, Methods: []string{"POST"}},
		{Name: "statement", Paths: []string{"/statement"}, Methods: []string{"GET"}, Group: "contact"},
		{Name: "totponly", Paths: []string{"/totp-only"}, Factors: []policy.Factor{policy.TOTP}},
		{Name: "profile", Paths: []string{"/profile"}, Methods: []string{"PATCH"}},
		{Name: "optional", Paths: []string{"/optional"}, Unenrolled: policy.UnenrolledAllow},
		{
			Name: "rpc", Paths: []string{"/rpc"}, Methods: []string{"POST"},
			Conditions: []policy.Condition{{Place: policy.InJSON, Name: "method", Values: []string{"withdraw"}}},
		},
		{Name: "graphql", Paths: []string{"/graphql"}, Conditions: []policy.Condition{{Place: policy.InGraphQL, Name: "mutation", Values: []string{"withdraw"}}}},
		{Name: "large", Paths: []string{"/transfer"}, Methods: []string{"POST"}, Amounts: []policy.Amount{{Source: policy.FromJSON, Name: "amount", Operator: ">", Limit: "1000"}}},
		{Name: "reported", Paths: []string{"/reported/*"}, Report: true},
		{Name: "inside", Paths: []string{"/reported/inside"}},
		{Kind: policy.Login, Name: "site_login", Paths: []string{"/login"}, ExceptMethods: []string{"GET", "HEAD", "OPTIONS"}},
		{Kind: policy.Logout, Name: "site_logout", Paths: []string{"/logout"}},
		{Name: "bonus", Paths: []string{"/bonus"}, MaxAge: 10 * time.Minute, Trust: policy.Trust{ACR: []string{"mfa"}}},
		{Name: "limits", Paths: []string{"/limits", "/both"}, MaxAge: 10 * time.Minute, Trust: policy.Trust{ACR: []string{"phr", "mfa"}, AMR: []string{"otp"}},
			Holds: []policy.Hold{{For: 5 * time.Minute, After: []policy.Cause{policy.CauseFactorChange, policy.CauseFirstEnrolment}}}},
		{Name: "elsewhere", Paths: []string{"/both"}},
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldBy(t, func(_ *world, s *source) identity.Source { return s })
}

// newWorldWith is newWorld with further rules.
func newWorldWith(t *testing.T, rules ...policy.Rule) *world {
	t.Helper()
	return newWorldBy(t, func(w *world, s *source) identity.Source {
		w.extra = rules
		return s
	})
}

// newWorldBy is newWorld with an identity source that stands before the site's.
func newWorldBy(t *testing.T, by func(*world, *source) identity.Source) *world {
	t.Helper()
	w := &world{
		t: t, site: new(site), phone: new(phone),
		clock:  &clock{at: time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)},
		source: &source{phones: map[string]string{"budi": "+6281234567890", "sari": "+6281298765432", "agus": "+628111222333", "dewi": ""}},
	}
	w.identity = by(w, w.source)
	s, err := bolt.Open(filepath.Join(t.TempDir(), "stepgate.db"), bolt.Options{Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w.attach(s, nil)
	return w
}

// attach puts a gate over a store, as a start of the process does.
func (w *world) attach(s store.Store, ring *seal.Ring) {
	w.t.Helper()
	var err error
	if ring == nil {
		if ring, err = seal.NewRing(rand.Reader, w.clock.now()); err != nil {
			w.t.Fatal(err)
		}
		ring.Clock = w.clock.now
	}
	if w.back, err = gate.NewBackend(s, ring, rand.Reader, w.clock.now); err != nil {
		w.t.Fatal(err)
	}
	set, err := policy.Compile(append(rules(), w.extra...))
	if err != nil {
		w.t.Fatal(err)
	}
	pages, err := challengepages.New(challengepages.Brand{Name: "Example Casino"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.gate, err = gate.New(gate.Config{
		Policy: set, Identity: w.identity, Pages: pages, SMS: carried(w.t, w.phone, smsguard.Limits{}, w.clock.now), Issuer: "Example Casino",
		Settings: "/account/security", LoginPage: "/login", Now: w.clock.now,
		Backend: func(context.Context) (*gate.Backend, error) { return w.back, w.down },
		Observe: func(_ *http.Request, e audit.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// saw reports whether an event was observed.
func (w *world) saw(name audit.Name) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Name == name {
			return true
		}
	}
	return false
}

// enrolSMS binds the player's phone and returns the recovery key; enrolTOTP binds an authenticator and
// returns its secret.
func (w *world) enrolSMS(name string) string {
	w.t.Helper()
	number, err := sms.Numbering{}.Parse(w.source.phones[name])
	if err != nil {
		w.t.Fatal(err)
	}
	id := w.back.Accounts.ID("id-" + name)
	c := account.Change{Proof: account.ProofFactor, Epoch: w.epoch(id), Binding: "b", Browser: "b"}
	send, err := w.back.Accounts.BeginSMS(context.Background(), id, c, number, "")
	if err != nil {
		w.t.Fatal(err)
	}
	bound, err := w.back.Accounts.Confirm(context.Background(), id, c, send.Setup.ID, send.Code, "")
	if err != nil || bound.Verdict != account.Right {
		w.t.Fatalf("Confirm = %v, %v", bound.Verdict, err)
	}
	return bound.RecoveryKey
}

func (w *world) epoch(id account.ID) uint64 {
	s, err := w.back.Accounts.Standing(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return s.Epoch
}

func (w *world) enrolTOTP(name string) (secret []byte, recovery string) {
	w.t.Helper()
	ctx, id := context.Background(), w.back.Accounts.ID("id-"+name)
	c := account.Change{Proof: account.ProofFactor, Epoch: w.epoch(id), Binding: "b", Browser: "b"}
	s, err := w.back.Accounts.BeginTOTP(ctx, id, c)
	if err != nil {
		w.t.Fatal(err)
	}
	done, err := w.back.Accounts.Confirm(ctx, id, c, s.ID, w.totp(s.Secret), "")
	if err != nil || done.Verdict != account.Right {
		w.t.Fatalf("Confirm = %v, %v", done.Verdict, err)
	}
	w.clock.add(30 * time.Second)
	return s.Secret, done.RecoveryKey
}

func (w *world) totp(secret []byte) string {
	w.t.Helper()
	code, err := totp.GenerateCode(base32Text(secret), w.clock.now())
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// browser is a client with a cookie jar that a player uses.
type browser struct {
	w       *world
	session string
	jar     map[string]string
	header  http.Header
}

func (w *world) browser(session string) *browser {
	return &browser{w: w, session: session, jar: map[string]string{}, header: http.Header{
		"Accept": {"text/html,application/xhtml+xml"}, "Accept-Language": {"en"},
		"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
	}}
}

// script is a browser whose requests are made by fetch.
func (w *world) script(session string) *browser {
	b := w.browser(session)
	b.header = http.Header{"Accept": {"application/json"}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}}
	return b
}

func (b *browser) request(method, target, contentType, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "casino.example"
	r.Header = b.header.Clone()
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if b.session != "" {
		r.AddCookie(&http.Cookie{Name: "session", Value: b.session})
	}
	for name, value := range b.jar {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

func (b *browser) do(r *http.Request) *http.Response {
	b.w.t.Helper()
	rec := httptest.NewRecorder()
	if err := b.w.gate.Serve(rec, r, next{b.w}); err != nil {
		b.w.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	res := rec.Result()
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			delete(b.jar, c.Name)
			continue
		}
		b.jar[c.Name] = c.Value
	}
	return res
}

func (b *browser) get(target string) *http.Response { return b.do(b.request("GET", target, "", "")) }

const formType = "application/x-www-form-urlencoded"

func (b *browser) post(target string, pairs ...string) *http.Response {
	return b.do(b.request("POST", target, formType, form(pairs...)))
}

func (b *browser) json(method, target, body string) *http.Response {
	return b.do(b.request(method, target, "application/json", body))
}

// form encodes pairs in their order: the marker has to come first.
func form(pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		parts = append(parts, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return strings.Join(parts, "&")
}

// answer posts a code to the page of a challenge.
func (b *browser) answer(target, id, factor, code string) *http.Response {
	return b.post(target, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionAnswer,
		challengepages.FieldFactor, factor, challengepages.FieldCode, code)
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

var idPattern = regexp.MustCompile(`name="?stepgate_challenge"? value="?([A-Za-z0-9_-]{22})`)

// challengeID finds the challenge's id in its page.
func challengeID(t *testing.T, page string) string {
	t.Helper()
	m := idPattern.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no challenge in page:\n%s", page)
	}
	return m[1]
}

type problemJSON struct {
	Type      string `json:"type"`
	Status    int    `json:"status"`
	Rule      string `json:"rule"`
	Challenge struct {
		ID           string              `json:"id"`
		URL          string              `json:"url"`
		State        string              `json:"state"`
		Factors      []string            `json:"factors"`
		AttemptsLeft int                 `json:"attempts_left"`
		SingleUse    bool                `json:"single_use"`
		SentTo       string              `json:"sent_to"`
		SMS          string              `json:"sms"`
		Details      []map[string]string `json:"details"`
		RecoveryKey  string              `json:"recovery_key"`
	} `json:"challenge"`
}

func decode(t *testing.T, res *http.Response) problemJSON {
	t.Helper()
	var p problemJSON
	body := text(t, res)
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("decoding %q: %v", body, err)
	}
	return p
}

func wantStatus(t *testing.T, res *http.Response, want int) {
	t.Helper()
	if res.StatusCode != want {
		t.Fatalf("status = %d, want %d; body:\n%s", res.StatusCode, want, text(t, res))
	}
}

func wantHits(t *testing.T, w *world, want int) {
	t.Helper()
	if hits := w.site.all(); len(hits) != want {
		t.Fatalf("the site got %d requests, want %d: %+v", len(hits), want, hits)
	}
}

var errDown = errors.New("down for the test")
