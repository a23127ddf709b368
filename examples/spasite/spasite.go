// Package spasite is an example site of one page: a script in the browser talks to an
// API, and apps could do the same. Players take money out.
//
// # Its session
//
// A login gives an access token, a JWT (RFC 7519) signed with ES256 that lasts five
// minutes and travels in the Authorization header (RFC 6750), and a refresh token for
// the next one. The claim "sid" is the same in all access tokens of a login. There is
// no cookie. Others can verify tokens with the keys at /.well-known/jwks.json, of which
// there are two: the one that signs now and the one before it.
//
// The site looks at an access token and nowhere else. So a logout ends the refresh
// token, while an access token is good until it expires; that is how such sites are.
//
// # Non-goals
//
// Real money, storage, an end of refresh tokens beside logout, and limits against
// password guessing: all of it lives in memory, and the players and their password are
// public. Never put it on a network.
//
// To see it: go run ./examples/spasite/cmd/spasite
package spasite

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"embed"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	password = "rahasia" // of every player
	maxBody  = 64 << 10  // bytes of a request
)

// Options are what a Site takes from outside.
type Options struct {
	// Issuer is the claim "iss" of tokens. Default: http://127.0.0.1:8080.
	Issuer string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Site is the site. It is an http.Handler that may serve many requests at once.
type Site struct {
	Options
	mux *http.ServeMux

	mu        sync.Mutex // guards what follows and what it points to
	keys      keys
	players   []*player
	sessions  map[string]session // by refresh token
	transfers int
}

type player struct {
	ID       string     `json:"id"`
	Username string     `json:"username"`
	Phone    string     `json:"phone"`
	Balance  int64      `json:"balance"` // rupiah
	Ledger   []Transfer `json:"transfers"`
}

// Transfer is one withdrawal.
type Transfer struct {
	Number  int    `json:"number"`  // unique on the site
	Amount  int64  `json:"amount"`  // rupiah, above zero
	Account string `json:"account"` // where to
}

// session is a login.
type session struct {
	player *player
	id     string
	since  time.Time
}

// New opens the site, with its four players and nobody logged in.
func New(o Options) *Site {
	o.Issuer = cmp.Or(o.Issuer, "http://127.0.0.1:8080")
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Site{Options: o, mux: http.NewServeMux(), keys: keys{newKey(), newKey()}, sessions: map[string]session{}}
	for i, name := range []string{"budi", "sari", "agus", "dewi"} {
		s.players = append(s.players, &player{
			ID: "p-" + string(rune('a'+i)), Username: name, Phone: "+628123456781" + string(rune('0'+i)), Balance: 10_000_000, Ledger: []Transfer{},
		})
	}
	s.mux.HandleFunc("POST /api/login", s.logIn)
	s.mux.HandleFunc("POST /api/refresh", s.refresh)
	s.mux.HandleFunc("POST /api/logout", s.logOut)
	s.mux.HandleFunc("GET /api/me", s.member(s.me))
	s.mux.HandleFunc("POST /api/withdrawals", s.member(s.withdraw))
	s.mux.HandleFunc("GET /.well-known/jwks.json", s.jwks)
	s.mux.HandleFunc("GET /{file...}", page)
	return s
}

// Rotate makes a key that signs from now on. Tokens of the key before are still good,
// older ones are not: call it more than five minutes after the last time.
func (s *Site) Rotate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys{newKey(), s.keys[0]}
}

// Ledger returns a copy of the player's transfers, oldest first.
func (s *Site) Ledger(username string) []Transfer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.find(func(p *player) bool { return p.Username == username }); p != nil {
		return slices.Clone(p.Ledger)
	}
	return nil
}

// find returns the player that fits, or nil.
func (s *Site) find(fits func(*player) bool) *player {
	if i := slices.IndexFunc(s.players, fits); i >= 0 {
		return s.players[i]
	}
	return nil
}

//go:embed page
var files embed.FS

func page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
	http.ServeFileFS(w, r, files, "page/"+cmp.Or(r.PathValue("file"), "index.html"))
}

// ServeHTTP answers one request at a time.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)) // before the lock is taken: a slow sender stops nobody
	if err != nil {
		fail(w, http.StatusBadRequest, "Data yang dikirim tidak dapat dibaca.")
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.Header().Set("Cache-Control", "no-store")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mux.ServeHTTP(w, r)
}

// take reads a JSON body, and answers if it cannot.
func take(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		fail(w, http.StatusBadRequest, "Data yang dikirim tidak dapat dibaca.")
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, kind string, body any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the one error left is a caller who has gone
}

// fail answers with a problem (RFC 9457).
func fail(w http.ResponseWriter, status int, title string) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	answer(w, status, "application/problem+json", map[string]any{"status": status, "title": title})
}

func (s *Site) logIn(w http.ResponseWriter, r *http.Request) {
	var given struct{ Username, Password string }
	if !take(w, r, &given) {
		return
	}
	p := s.find(func(p *player) bool { return p.Username == given.Username })
	if p == nil || given.Password != password {
		fail(w, http.StatusForbidden, "Nama pengguna atau kata sandi salah.")
		return
	}
	s.giveTokens(w, session{p, rand.Text(), s.Now()})
}

// refresh takes a refresh token, which is good once, for the next two tokens.
func (s *Site) refresh(w http.ResponseWriter, r *http.Request) {
	s.endSession(w, r, func(in session) { s.giveTokens(w, in) })
}

func (s *Site) logOut(w http.ResponseWriter, r *http.Request) {
	s.endSession(w, r, func(session) { w.WriteHeader(http.StatusNoContent) })
}

// endSession takes a refresh token out of use and goes on with its session.
func (s *Site) endSession(w http.ResponseWriter, r *http.Request, then func(session)) {
	var given struct {
		Token string `json:"refresh_token"`
	}
	if !take(w, r, &given) {
		return
	}
	in, ok := s.sessions[given.Token]
	if !ok {
		fail(w, http.StatusForbidden, "Sesi sudah berakhir. Silakan masuk lagi.")
		return
	}
	delete(s.sessions, given.Token)
	then(in)
}

func (s *Site) giveTokens(w http.ResponseWriter, in session) {
	now, refresh := s.Now(), rand.Text()
	s.sessions[refresh] = in
	access := s.keys[0].sign(claims{
		Issuer: s.Issuer, Audience: audience, Subject: in.player.ID, IssuedAt: now.Unix(), Expires: now.Add(accessLifetime).Unix(),
		Session: in.id, AuthTime: in.since.Unix(), ACR: "pwd", AMR: []string{"pwd"}, Phone: in.player.Phone, Username: in.player.Username,
	})
	answer(w, http.StatusOK, "application/json", map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": accessLifetime / time.Second, "refresh_token": refresh,
	})
}

// member makes a handler of what only a player can do.
func (s *Site) member(act func(http.ResponseWriter, *http.Request, *player)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		c, ok := s.keys.verify(token)
		p := s.find(func(p *player) bool { return p.ID == c.Subject })
		if !ok || !strings.EqualFold(scheme, "Bearer") || p == nil || c.Issuer != s.Issuer || c.Audience != audience || s.Now().Unix() >= c.Expires {
			fail(w, http.StatusUnauthorized, "Silakan masuk terlebih dahulu.")
			return
		}
		act(w, r, p)
	}
}

func (s *Site) me(w http.ResponseWriter, _ *http.Request, p *player) {
	answer(w, http.StatusOK, "application/json", p)
}

// withdraw books a transfer for each request: two equal ones are two transfers.
func (s *Site) withdraw(w http.ResponseWriter, r *http.Request, p *player) {
	var given Transfer
	if !take(w, r, &given) {
		return
	}
	switch account := strings.TrimSpace(given.Account); {
	case given.Amount < 1 || account == "" || len(account) > 100:
		fail(w, http.StatusUnprocessableEntity, "Jumlah atau rekening tidak sah.")
	case given.Amount > p.Balance:
		fail(w, http.StatusUnprocessableEntity, "Saldo Anda tidak cukup.")
	default:
		s.transfers++
		booked := Transfer{s.transfers, given.Amount, account}
		p.Balance -= booked.Amount
		p.Ledger = append(p.Ledger, booked)
		answer(w, http.StatusCreated, "application/json", booked)
	}
}

func (s *Site) jwks(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "max-age=300")
	answer(w, http.StatusOK, "application/jwk-set+json", s.keys.public())
}
