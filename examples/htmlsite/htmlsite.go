// Package htmlsite is an example site of the oldest style: pages and forms, and no
// API at all. Players keep their nickname, e-mail and phone on it and take money out.
//
// # Its session
//
// Every visitor has one, under an id in the cookie "sid", and its forms carry a token
// of it against forgery. At login and at logout visitors get another id and another
// token. Who is logged in stands in each page, as <body data-player="17">, and in the
// fields of the form on /profile. Who is not is sent from there to /login.
//
// # Non-goals
//
// Real money, storage, an end of sessions beside logout, and limits against password
// guessing: all of it lives in memory, and the players and their password are public.
// Never put it on a network.
//
// To see it: go run ./examples/htmlsite/cmd/htmlsite
package htmlsite

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// SessionCookie is the name of the cookie that carries the session id.
const SessionCookie = "sid"

const (
	password = "rahasia" // of every player
	maxBody  = 64 << 10  // bytes of a form
)

// Site is the site. It is an http.Handler that may serve many requests at once.
type Site struct {
	mux *http.ServeMux

	mu        sync.Mutex // guards what follows and what it points to
	players   []*player
	sessions  map[string]*session // by id
	transfers int
}

type player struct {
	ID       int
	Username string
	Nickname string // whatever the player likes to be called, markup included
	Email    string
	Phone    string
	Balance  int64 // rupiah
	Ledger   []Transfer
}

// Transfer is one withdrawal, as /transfers lists it.
type Transfer struct {
	Number  int    // unique on the site
	Amount  int64  // rupiah, above zero
	Account string // where to
}

type session struct {
	player *player // nil before login
	token  string  // what a form must carry
}

// New opens the site, with its four players and nobody logged in.
func New() *Site {
	s := &Site{mux: http.NewServeMux(), sessions: map[string]*session{}}
	for i, name := range []string{"budi", "sari", "agus", "dewi"} {
		s.players = append(s.players, &player{
			ID: 17 + i, Username: name, Nickname: name, Email: name + "@example.com", Phone: "+628123456780" + strconv.Itoa(i), Balance: 10_000_000,
		})
	}
	s.page("/{$}", "home", anybody)
	s.page("/login", "login", anybody)
	s.page("/profile", "profile", membersOnly)
	s.page("/wallet", "wallet", membersOnly)
	s.page("/transfers", "transfers", membersOnly)
	s.form("/login", "login", "/", anybody, s.logIn)
	s.form("/logout", "home", "/login", anybody, s.logOut)
	s.form("/profile/nickname", "profile", "/profile", membersOnly, changeNickname)
	s.form("/profile/contact", "profile", "/profile", membersOnly, changeContact)
	s.form("/wallet/withdraw", "wallet", "/transfers", membersOnly, s.withdraw)
	return s
}

// Ledger returns a copy of the player's transfers, oldest first.
func (s *Site) Ledger(username string) []Transfer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.find(username).Ledger)
}

// find returns a player, a new one without an id if nobody has the name.
func (s *Site) find(username string) *player {
	for _, p := range s.players {
		if p.Username == username {
			return p
		}
	}
	return &player{}
}

// ServeHTTP answers one request at a time.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if r.ParseForm() != nil { // before the lock is taken: a slow sender stops nobody
		http.Error(w, "Formulir tidak dapat dibaca.", http.StatusBadRequest)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mux.ServeHTTP(w, r)
}

// visit is a request in its session.
type visit struct {
	*session
	w http.ResponseWriter
	r *http.Request
}

// visit finds the session of a request, or opens one.
func (s *Site) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{w: w, r: r}
	if c, err := r.Cookie(SessionCookie); err == nil {
		v.session = s.sessions[c.Value]
	}
	if v.session == nil {
		s.renew(v, nil)
	}
	return v
}

// renew ends the session and opens another one, with an id and a token that nobody
// has seen before: an id that somebody slipped a visitor is worthless after the login.
func (s *Site) renew(v *visit, p *player) {
	if c, err := v.r.Cookie(SessionCookie); err == nil {
		delete(s.sessions, c.Value)
	}
	id := rand.Text()
	v.session = &session{player: p, token: rand.Text()}
	s.sessions[id] = v.session
	http.SetCookie(v.w, &http.Cookie{Name: SessionCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// audience is for whom something is.
type audience int

const (
	anybody audience = iota
	membersOnly
)

// admit reports whether the visitor may go on, and sends to the login who may not.
func (v *visit) admit(who audience) bool {
	if who == membersOnly && v.player == nil {
		http.Redirect(v.w, v.r, "/login", http.StatusSeeOther)
		return false
	}
	return true
}

func (s *Site) page(path, name string, who audience) {
	s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		if v := s.visit(w, r); v.admit(who) {
			v.show(http.StatusOK, name, "")
		}
	})
}

// form takes what was filled in on a page. act returns what is wrong with it, to be
// shown on that page, or "" to go on to another one.
func (s *Site) form(path, page, to string, who audience, act func(*visit) (problem string)) {
	s.mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		v := s.visit(w, r)
		switch {
		case !v.admit(who):
		case r.PostForm.Get("token") != v.token:
			v.show(http.StatusForbidden, "home", "Formulir ini sudah kedaluwarsa. Silakan ulangi.")
		default:
			if problem := act(v); problem != "" {
				v.show(http.StatusUnprocessableEntity, page, problem)
				return
			}
			http.Redirect(w, r, to, http.StatusSeeOther)
		}
	})
}

//go:embed pages.html
var source string

var pages = template.Must(template.New("pages").Parse(source))

// show answers with a page. The templates escape what players have typed.
func (v *visit) show(status int, page, problem string) {
	var html bytes.Buffer
	err := pages.ExecuteTemplate(&html, page, struct {
		Player         *player
		Token, Problem string
	}{v.player, v.token, problem})
	if err != nil {
		http.Error(v.w, "Terjadi gangguan.", http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(html.Bytes()) // the one error left is a browser that has gone
}

func (s *Site) logIn(v *visit) string {
	p := s.find(v.r.PostForm.Get("username"))
	if p.ID == 0 || v.r.PostForm.Get("password") != password {
		return "Nama pengguna atau kata sandi salah."
	}
	s.renew(v, p)
	return ""
}

func (s *Site) logOut(v *visit) string {
	s.renew(v, nil)
	return ""
}

func changeNickname(v *visit) string {
	nickname := strings.TrimSpace(v.r.PostForm.Get("nickname"))
	if n := utf8.RuneCountInString(nickname); n < 1 || n > 100 {
		return "Nama panggilan harus 1 sampai 100 huruf."
	}
	v.player.Nickname = nickname
	return ""
}

// phonePattern is E.164: a plus sign and up to 15 digits.
var phonePattern = regexp.MustCompile(`^\+[1-9][0-9]{7,14}$`)

func changeContact(v *visit) string {
	email, phone := v.r.PostForm.Get("email"), v.r.PostForm.Get("phone")
	if !strings.Contains(email, "@") || len(email) > 254 {
		return "Alamat email tidak sah."
	}
	if !phonePattern.MatchString(phone) {
		return "Nomor telepon tidak sah. Tulis misalnya +6281234567890."
	}
	v.player.Email, v.player.Phone = email, phone
	return ""
}

// withdraw books a transfer for each form: two equal ones are two transfers.
func (s *Site) withdraw(v *visit) string {
	p, account := v.player, strings.TrimSpace(v.r.PostForm.Get("account"))
	amount, err := strconv.ParseInt(v.r.PostForm.Get("amount"), 10, 64)
	switch {
	case err != nil || amount < 1:
		return "Jumlah tidak sah. Tulis jumlah dalam rupiah utuh, misalnya 2500000."
	case amount > p.Balance:
		return "Saldo Anda tidak cukup."
	case account == "" || len(account) > 100:
		return "Rekening tidak sah. Tulis misalnya BCA 1234567890."
	}
	s.transfers++
	p.Balance -= amount
	p.Ledger = append(p.Ledger, Transfer{s.transfers, amount, account})
	return ""
}
