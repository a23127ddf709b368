package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

var errNotThere = errors.New("the page that was to come is another")

var setupID = regexp.MustCompile(`name="?stepgate_setup"? value="?([A-Za-z0-9_-]{22})`)

// patron is a player of the site with a phone that it knows, who changes something on
// the security page while the gateway is killed.
type patron struct {
	d     *demo
	name  string
	c     *client
	codes *totpCodes // of the authenticator, nil if there never was one
	key   string     // the recovery key that was shown last
	used  []usedCode
}

// usedCode is a code that was sent, with the form that it was sent by.
type usedCode struct {
	path, challenge, factor, code string
	right                         bool // the gateway has said so
}

func (d *demo) patron(name string) *patron {
	d.t.Helper()
	p := &patron{d: d, name: name, c: d.login(name)}
	p.c.do("GET", "/account/security", "", nil, "Accept", "text/html").want(d.t, http.StatusOK)
	return p
}

func (p *patron) post(path string, pairs ...string) (answer, error) {
	return p.c.try("POST", path, "application/x-www-form-urlencoded", []byte(encode(pairs...)), "Accept", "text/html")
}

// asked begins an action and returns its challenge.
func (p *patron) asked(path string, pairs ...string) string {
	p.d.t.Helper()
	return p.c.form(path, pairs...).want(p.d.t, http.StatusUnauthorized).challengeIn(p.d.t)
}

// shows answers a challenge.
func (p *patron) shows(path, challenge, factor, code string) (answer, error) {
	p.used = append(p.used, usedCode{path: path, challenge: challenge, factor: factor, code: code})
	a, err := p.post(path, "stepgate_challenge", challenge, "stepgate_action", "answer", "stepgate_factor", factor, "stepgate_code", code)
	if err == nil && a.status != http.StatusOK && a.status != http.StatusSeeOther {
		err = fmt.Errorf("%w: %d %s", errNotThere, a.status, a.body)
	}
	if err == nil {
		p.used[len(p.used)-1].right = true
	}
	return a, err
}

// confirms goes on from the page of a set-up, with the code that code returns.
func (p *patron) confirms(path string, page answer, code func() (string, error)) error {
	setup := setupID.FindStringSubmatch(page.body)
	if setup == nil {
		return fmt.Errorf("%w: %s", errNotThere, page.body)
	}
	typed, err := code()
	if err != nil {
		return err
	}
	a, err := p.post(path+"/confirm", "stepgate_setup", setup[1], "stepgate_code", typed)
	if err != nil {
		return err
	}
	return p.keeps(a)
}

// keeps reads the recovery key of the page that ends a set-up, if it shows one.
func (p *patron) keeps(a answer) error {
	if m := recoveryKey.FindStringSubmatch(a.body); m != nil {
		p.key = m[1]
	} else if a.status != http.StatusSeeOther {
		return fmt.Errorf("%w: %d %s", errNotThere, a.status, a.body)
	}
	return nil
}

// bindsApp binds an authenticator, from the page of its set-up.
func (p *patron) bindsApp(page answer) error {
	secret := keyText.FindStringSubmatch(page.body)
	if secret == nil {
		return fmt.Errorf("%w: %s", errNotThere, page.body)
	}
	p.codes = &totpCodes{t: p.d.t, secret: secret[1]}
	return p.confirms(securityPath+"/totp", page, func() (string, error) { return p.codes.next(), nil })
}

// hasApp gives the player an authenticator, before anything is killed.
func (p *patron) hasApp() {
	p.d.t.Helper()
	if err := p.enrol()(); err != nil {
		p.d.t.Fatal(err)
	}
	p.used = nil
}

// The changes: each returns what is done while the gateway is killed, and that
// returns nil once the last answer has come.

func (p *patron) enrol() func() error {
	challenge := p.asked(securityPath + "/totp")
	code := p.d.code()
	return func() error {
		page, err := p.shows(securityPath+"/totp", challenge, "sms", code)
		if err != nil {
			return err
		}
		return p.bindsApp(page)
	}
}

// enrolPhone takes the phone that the site knows: one code does it all.
func (p *patron) enrolPhone() func() error {
	challenge := p.asked(securityPath+"/sms", "stepgate_phone", "")
	code := p.d.code()
	return func() error {
		a, err := p.shows(securityPath+"/sms", challenge, "sms", code)
		if err != nil {
			return err
		}
		return p.keeps(a)
	}
}

func (p *patron) switchToPhone() func() error {
	p.hasApp()
	challenge := p.asked(securityPath+"/sms", "stepgate_phone", "")
	return func() error {
		page, err := p.shows(securityPath+"/sms", challenge, "totp", p.codes.next())
		if err != nil {
			return err
		}
		return p.confirms(securityPath+"/sms", page, func() (string, error) {
			all, err := p.d.tryMessages()
			if err != nil {
				return "", err
			}
			if len(all) == 0 {
				return "", errNotThere
			}
			return all[0].Code, nil
		})
	}
}

func (p *patron) switchToApp() func() error {
	if err := p.enrolPhone()(); err != nil {
		p.d.t.Fatal(err)
	}
	p.used = nil
	return p.enrol()
}

func (p *patron) switchOff() func() error {
	p.hasApp()
	challenge := p.asked(securityPath + "/off")
	return func() error {
		_, err := p.shows(securityPath+"/off", challenge, "totp", p.codes.next())
		return err
	}
}

// recover releases a withdrawal with the recovery key.
func (p *patron) recover() func() error {
	p.hasApp()
	const path = "/wallet/withdraw"
	challenge := p.asked(path, "amount", "10000", "account", "BCA 1234567890")
	key := p.key
	return func() error {
		page, err := p.shows(path, challenge, "recovery_key", key)
		if err != nil {
			return err
		}
		if err := p.keeps(page); err != nil {
			return err
		}
		_, err = p.post(path, "stepgate_challenge", challenge, "stepgate_action", "continue")
		return err
	}
}

// I3, I4, I6, I7, R2, R59: the gateway is killed at a random moment of a change of
// factors, and started again. Whatever the moment was, the account has the factors of
// before or those of after, and works with those that it asks for; what was
// acknowledged is there; no code and no key works twice.
func TestInvariantI7KilledAtAnyPointOfAChangeOfFactors(t *testing.T) {
	const none, app, phone = "sms", "totp recovery_key", "sms recovery_key"
	d := startDemo(t)
	random := rand.New(rand.NewPCG(3, 4))
	rounds := 10
	if testing.Short() {
		rounds = 1
	}
	number := 0
	for _, k := range []struct {
		name          string
		change        func(*patron) func() error
		before, after string
	}{
		{"first authenticator", (*patron).enrol, none, app},
		{"first phone", (*patron).enrolPhone, none, phone},
		{"from app to phone", (*patron).switchToPhone, app, phone},
		{"from phone to app", (*patron).switchToApp, phone, app},
		{"off", (*patron).switchOff, app, none},
		{"recovery", (*patron).recover, app, app},
	} {
		t.Run(k.name, func(t *testing.T) {
			for range rounds {
				number++
				p := d.patron(fmt.Sprintf("p%03d", number))
				change := k.change(p)
				ended := make(chan error, 1)
				go func() { ended <- change() }()
				// The moment is what is tested: from before the first write to after the
				// last answer.
				<-time.After(time.Duration(random.IntN(16_000)) * time.Microsecond)
				d.kill()
				err := <-ended
				d.restart()
				if errors.Is(err, errNotThere) {
					t.Fatalf("%s: %v", p.name, err)
				}
				p.wantOneOf(t, k.before, k.after, err == nil)
				p.wantNoneTwice(t)
			}
		})
	}
}

// wantOneOf looks at what the killed process has left, and withdraws with the factor
// that is asked for.
func (p *patron) wantOneOf(t *testing.T, before, after string, acknowledged bool) {
	t.Helper()
	at := len(p.d.withdrawals(p.name))
	c := p.d.login(p.name)
	now := c.withdraw(20_000).want(t, http.StatusUnauthorized).problem(t)
	has := strings.Join(now.Challenge.Factors, " ")
	if has != after && (acknowledged || has != before) {
		t.Fatalf("%s is asked for %q: want %q, or %q if nobody was told otherwise (%v)", p.name, has, after, before, acknowledged)
	}
	code := p.d.code
	if now.Challenge.Factors[0] == "totp" {
		code = p.codes.next
	}
	c.answer(now.Challenge.URL, now.Challenge.Factors[0], code()).want(t, http.StatusOK)
	for range 2 {
		c.withdraw(20_000, "Step-Up-Challenge", now.Challenge.ID)
	}
	if n := len(p.d.withdrawals(p.name)) - at; n != 1 {
		t.Fatalf("%s has %d withdrawals of one approval", p.name, n)
	}
}

// wantNoneTwice sends what was sent before the kill again: to its own challenge, and
// to new ones.
func (p *patron) wantNoneTwice(t *testing.T) {
	t.Helper()
	for _, u := range p.used {
		right := 0
		if u.right {
			right++
		}
		for range 2 {
			if _, err := p.shows(u.path, u.challenge, u.factor, u.code); err == nil {
				right++
			} else if !errors.Is(err, errNotThere) {
				t.Fatal(err)
			}
			if u.factor == "sms" { // its code is its own challenge's
				continue
			}
			c := p.d.login(p.name)
			now := c.withdraw(30_000).want(t, http.StatusUnauthorized).problem(t)
			if c.answer(now.Challenge.URL, u.factor, u.code).status == http.StatusOK {
				right++
			}
		}
		if right > 1 {
			t.Errorf("%s: a code by %s was right %d times", p.name, u.factor, right)
		}
		if n := len(p.d.withdrawals(p.name)); n > 2 {
			t.Errorf("%s has %d withdrawals, want one of the recovery and one of the factor at most", p.name, n)
		}
	}
}
