package casino

import (
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/mail"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// resetLifetime is how long a mailed password may be used for the first time.
const resetLifetime = 30 * time.Minute

// account is what the pages and /api/me tell a player of themselves.
type account struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Email    string `json:"email"`
	Phone    string `json:"phone"` // E.164, or empty
	Bank     string `json:"-"`     // where withdrawals usually go
	Balance  int64  `json:"-"`     // rupiah
}

type player struct {
	account
	ledger   []Entry
	password string
	// mailed is the password of a reset under way, or empty. Its first use makes
	// it the password: who merely asks for a reset locks nobody out.
	mailed      string
	mailedUntil time.Time
}

type session struct {
	player  *player
	expires time.Time
	flash   string // shown on the next page, and then forgotten
}

func newPlayers(crowd int) []*player {
	accounts := []account{
		{ID: "u-1001", Username: "budi", Phone: "+6281234567890", Bank: "BCA 1234567890"},
		{ID: "u-1002", Username: "sari", Phone: "+6281298765432", Bank: "Mandiri 9870001112223"},
		{ID: "u-1003", Username: "agus", Phone: "+628111222333", Bank: "BRI 445566778899001"},
		{ID: "u-1004", Username: "dewi", Bank: "BNI 5566778899"},
	}
	for i := range crowd {
		accounts = append(accounts, account{
			ID: fmt.Sprintf("u-%d", 2001+i), Username: fmt.Sprintf("p%03d", i+1), Phone: fmt.Sprintf("+62812350%05d", i+1), Bank: "BCA 2345678901",
		})
	}
	var players []*player
	for _, a := range accounts {
		a.Email, a.Balance = a.Username+"@example.com", 10_000_000
		players = append(players, &player{account: a, password: "rahasia"})
	}
	return players
}

// find returns the player that fits, or nil. The caller holds mu.
func (s *Site) find(fits func(*player) bool) *player {
	for _, p := range s.players {
		if fits(p) {
			return p
		}
	}
	return nil
}

// secret returns 160 random bits as text. The caller holds mu.
func (s *Site) secret() (string, error) {
	var b [20]byte
	if _, err := io.ReadFull(s.options.Rand, b[:]); err != nil {
		return "", fmt.Errorf("reading randomness: %w", err)
	}
	return base32.StdEncoding.EncodeToString(b[:]), nil
}

// openSession checks a name and a password and returns the id of a new session.
func (s *Site) openSession(username, password string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	maps.DeleteFunc(s.sessions, func(_ string, in *session) bool { return !now.Before(in.expires) })
	p := s.find(func(p *player) bool { return p.Username == strings.ToLower(strings.TrimSpace(username)) })
	switch {
	case p == nil:
		return "", errWrongPassword
	case subtle.ConstantTimeCompare([]byte(password), []byte(p.password)) == 1:
	case p.mailed != "" && now.Before(p.mailedUntil) && subtle.ConstantTimeCompare([]byte(password), []byte(p.mailed)) == 1:
		p.password, p.mailed = p.mailed, ""
		maps.DeleteFunc(s.sessions, func(_ string, in *session) bool { return in.player == p })
	default:
		return "", errWrongPassword
	}
	id, err := s.secret()
	if err != nil {
		return "", err
	}
	s.sessions[id] = &session{player: p, expires: now.Add(SessionLifetime)}
	return id, nil
}

// sessionID finds the session id of a request. An Authorization header counts
// alone, so that an app is never taken for whoever's cookie came along.
func sessionID(r *http.Request) string {
	if header := r.Header.Get("Authorization"); header != "" {
		if scheme, token, _ := strings.Cut(header, " "); strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(token)
		}
		return ""
	}
	if c, err := r.Cookie(SessionCookie); err == nil {
		return c.Value
	}
	return ""
}

// asPlayer runs act, with mu held, for the player whose session r bears.
func (s *Site) asPlayer(r *http.Request, act func(*session) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, ok := s.sessions[sessionID(r)]
	if !ok || !s.options.Now().Before(in.expires) {
		return errAnonymous
	}
	return act(in)
}

func (s *Site) closeSession(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sessionID(r))
}

func (s *Site) logIn(w http.ResponseWriter, r *http.Request) error {
	fields, err := readForm(r)
	if err != nil {
		return err
	}
	id, err := s.openSession(fields.Get("username"), fields.Get("password"))
	if err != nil {
		return err
	}
	s.closeSession(r)
	http.SetCookie(w, &http.Cookie{Name: SessionCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func (s *Site) logOut(w http.ResponseWriter, r *http.Request) error {
	s.closeSession(r)
	http.SetCookie(w, &http.Cookie{Name: SessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

// resetPassword mails a new password. Its answer is the same whether or not a
// player has the address.
func (s *Site) resetPassword(w http.ResponseWriter, r *http.Request) error {
	fields, err := readForm(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	password, err := s.secret()
	to := ""
	p := s.find(func(p *player) bool { return strings.EqualFold(p.Email, strings.TrimSpace(fields.Get("email"))) })
	if p != nil && err == nil {
		to, p.mailed, p.mailedUntil = p.Email, password, s.options.Now().Add(resetLifetime)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if to != "" {
		s.options.SendMail(to, "Kata sandi baru Anda, untuk masuk dalam 30 menit: "+password)
	}
	return render(w, http.StatusOK, "reset", view{Flash: "Jika alamat itu terdaftar, kata sandi baru sudah kami kirim ke sana."})
}

// changeEmail gives the player another address. No two players share one, because
// a password reset starts from it.
func (s *Site) changeEmail(in *session, fields url.Values) (string, error) {
	email := strings.TrimSpace(fields.Get("email"))
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email || len(email) > 254 {
		return "", errBadEmail
	}
	if s.find(func(p *player) bool { return p != in.player && strings.EqualFold(p.Email, email) }) != nil {
		return "", errEmailTaken
	}
	in.player.Email = email
	return "Alamat email diperbarui.", nil
}

// phonePattern is E.164: a plus sign and up to 15 digits.
var phonePattern = regexp.MustCompile(`^\+[1-9][0-9]{7,14}$`)

// changePhone gives the player another number. One that is written the domestic
// way, with a leading 0, is Indonesian.
func (s *Site) changePhone(in *session, fields url.Values) (string, error) {
	phone := strings.NewReplacer(" ", "", "-", "").Replace(fields.Get("phone"))
	if domestic, ok := strings.CutPrefix(phone, "0"); ok {
		phone = "+62" + domestic
	}
	if !phonePattern.MatchString(phone) {
		return "", errBadPhone
	}
	in.player.Phone = phone
	return "Nomor telepon diperbarui.", nil
}

func (s *Site) changeBank(in *session, fields url.Values) (string, error) {
	bank, err := parseBank(fields.Get("account"))
	if err != nil {
		return "", err
	}
	in.player.Bank = bank
	return "Rekening bank diperbarui.", nil
}
