// Package casino is an ordinary little casino site: players log in, play a game,
// put money in, take money out and change their contact details. It stands for
// the many sites that exist already, in the demo and in the tests of what is put
// in front of one.
//
// # Invariants
//
//   - A balance never falls below zero, and every change of it is a ledger entry.
//   - Every accepted POST is an entry of its own: two equal withdrawals are two
//     withdrawals. The site makes no attempt to recognise a repeated request.
//   - A session ends at logout, after [SessionLifetime], and at a password reset.
//
// # Non-goals
//
// Real money, storage and limits against password guessing: all of it lives in
// memory, and the players and their password are public. Never put it on a network.
package casino

import (
	"cmp"
	"crypto/rand"
	"embed"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// SessionCookie is the name of the cookie that carries the session id.
	SessionCookie = "casino_session"
	// SessionLifetime is how long a session lasts from the login on, used or not.
	SessionLifetime = 12 * time.Hour

	maxBody      = 1 << 20         // bytes of a request body
	liveInterval = 5 * time.Second // between two events of the default ticker
)

// Options are what a Site takes from outside. The zero value is ready to use.
type Options struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rand is where session ids, new passwords and reels come from; nil means
	// crypto/rand. The site reads from it in one goroutine at a time.
	Rand io.Reader
	// NewTicker returns the ticks of one /live stream and what stops them. The
	// stream ends when the channel is closed. Nil means a tick every 5 seconds.
	NewTicker func() (ticks <-chan time.Time, stop func())
	// SendMail delivers one mail. It is called without any lock held, possibly
	// from several goroutines. Nil drops all mail.
	SendMail func(to, text string)
	// Crowd is how many players there are beside the four: "p001" and so on, each
	// with a phone.
	Crowd int
}

// Site is the casino. It is an http.Handler that may serve many requests at once.
type Site struct {
	options Options
	mux     *http.ServeMux
	opened  time.Time

	// mu guards everything below, what players and sessions point to, and
	// reading from options.Rand.
	mu       sync.Mutex
	players  []*player
	sessions map[string]*session
	entries  int
}

// New opens a casino with its players and no sessions.
func New(o Options) *Site {
	o.Rand = cmp.Or[io.Reader](o.Rand, rand.Reader)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewTicker == nil {
		o.NewTicker = func() (<-chan time.Time, func()) {
			t := time.NewTicker(liveInterval)
			return t.C, t.Stop
		}
	}
	if o.SendMail == nil {
		o.SendMail = func(string, string) {}
	}
	s := &Site{options: o, opened: o.Now(), players: newPlayers(o.Crowd), sessions: map[string]*session{}}
	s.mux = s.routes()
	return s
}

//go:embed assets
var assets embed.FS

func (s *Site) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern string, h handler) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				s.fail(w, r, err)
			}
		})
	}
	handle("GET /{$}", s.page("home", anybody))
	handle("GET /login", s.page("login", anybody))
	handle("POST /login", s.logIn)
	handle("POST /logout", s.logOut)
	handle("GET /password/reset", s.page("reset", anybody))
	handle("POST /password/reset", s.resetPassword)
	handle("GET /wallet", s.page("wallet", membersOnly))
	handle("POST /wallet/withdraw", s.form("/wallet", s.withdrawForm))
	handle("POST /wallet/deposit", s.form("/wallet", s.deposit))
	handle("POST /game/spin", s.form("/", s.spin))
	handle("GET /account", s.page("account", membersOnly))
	handle("POST /account/email", s.form("/account", s.changeEmail))
	handle("POST /account/phone", s.form("/account", s.changePhone))
	handle("POST /account/bank", s.form("/account", s.changeBank))
	handle("POST /api/login", s.apiLogIn)
	handle("GET /api/me", s.apiMe)
	handle("POST /api/v1/withdrawals", s.apiWithdraw)
	handle("GET /live", s.live)
	handle("/", func(http.ResponseWriter, *http.Request) error { return errNotFound })
	mux.HandleFunc("GET /assets/{file}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		http.ServeFileFS(w, r, assets, "assets/"+r.PathValue("file"))
	})
	return mux
}

// ServeHTTP answers one request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	if !sameHost(r) {
		s.fail(w, r, errCrossSite)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mux.ServeHTTP(w, r)
}

// sameHost reports whether an unsafe request comes from the site's own pages, as
// far as its Origin, or else its Referer, tells. Whoever sends neither is no
// browser with a victim's cookie. "Origin: null" has no host and fails.
func sameHost(r *http.Request) bool {
	from := cmp.Or(r.Header.Get("Origin"), r.Header.Get("Referer"))
	if from == "" || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	u, err := url.Parse(from)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// live streams the jackpot as server-sent events (WHATWG HTML, section 9.2): one
// at once and one at every tick, until the browser leaves.
func (s *Site) live(w http.ResponseWriter, r *http.Request) error {
	ticks, stop := s.options.NewTicker()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	for at, open := s.options.Now(), true; open; {
		// A failed write or flush means a browser that has gone.
		if _, err := io.WriteString(w, "event: jackpot\ndata: "+rupiah(s.jackpot(at))+"\n\n"); err != nil {
			return nil
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return nil
		}
		select {
		case <-r.Context().Done():
			return nil
		case at, open = <-ticks:
		}
	}
	return nil
}

// jackpot grows by Rp1.250 a second from the opening on.
func (s *Site) jackpot(at time.Time) int64 {
	return 1_250_000_000 + 1_250*int64(at.Sub(s.opened)/time.Second)
}
