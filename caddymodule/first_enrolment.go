package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/stepgate/stepgate/internal/gate"
)

// maxLoginAge is how old a session may be that binds a first factor in the mode `login`.
const maxLoginAge = time.Hour

// FirstEnrolment says how a player gets a first factor for whom the site knows no
// phone. Whoever has stolen such a player's session has as much to show as the
// player: without more they would enrol a factor of their own and pass with it.
type FirstEnrolment struct {
	// What is asked for. `hold`: nothing, the factor is bound at once, but protected
	// routes stay closed for the time of For. `login`: a session that came from the
	// site's own login through this gateway within For, which whoever stole a session
	// cannot show without the password; every step_up then needs `login_page` and an
	// identity source that can ask whose a new session is: `upstream`, or `jwt` with a cookie.
	// `support`: the help of a support agent, and nobody enrols alone. Default: hold.
	Mode gate.FirstEnrolmentMode `json:"mode,omitempty"`

	// With `hold`, how long protected routes stay closed, 1s or more; shorter leaves
	// the player less time to notice. Default: 24h; it cannot be switched off. With
	// `login`, how old the session may be, 1s to 1h; longer lets an older theft in.
	// Default: 10m. With `support` it says nothing and must be left out.
	For caddy.Duration `json:"for,omitempty"`
}

var firstEnrolmentModes = []string{string(gate.FirstEnrolmentHold), string(gate.FirstEnrolmentLogin), string(gate.FirstEnrolmentSupport)}

// config returns what the gate is told, with defaults, or what is wrong. A nil f is
// the default.
func (f *FirstEnrolment) config() (gate.FirstEnrolment, error) {
	c := gate.FirstEnrolment{Mode: gate.FirstEnrolmentHold}
	if f != nil {
		c.For = time.Duration(f.For)
		if f.Mode != "" {
			c.Mode = f.Mode
		}
	}
	switch c.Mode {
	case gate.FirstEnrolmentHold:
		if c.For == 0 {
			c.For = gate.DefaultFirstEnrolmentHold
		}
		if c.For < time.Second {
			return c, fmt.Errorf("first_enrolment hold %v is too short: write at least 1s, such as 24h", c.For)
		}
	case gate.FirstEnrolmentLogin:
		if c.For == 0 {
			c.For = gate.DefaultLoginAge
		}
		if c.For < time.Second || c.For > maxLoginAge {
			return c, fmt.Errorf("first_enrolment login %v: write how old the login may be, 1s to 1h, such as 10m", c.For)
		}
	case gate.FirstEnrolmentSupport:
		if c.For != 0 {
			return c, fmt.Errorf("first_enrolment support waits for an agent, so %v says nothing: leave the duration out", c.For)
		}
	default:
		return c, fmt.Errorf("first_enrolment %q is not known: write hold, login or support", c.Mode)
	}
	return c, nil
}

// errNoLoginPage is a step_up where nobody could show a fresh login.
var errNoLoginPage = errors.New("first_enrolment login asks for a fresh login, and this step_up does not know where players log in: " +
	"write login_page and its path, such as login_page /login, or first_enrolment hold 24h in the global options")

// errLoginUnseen is a step_up that cannot ask whose the session is that a login has just
// given out.
var errLoginUnseen = errors.New("first_enrolment login asks the site whose a session is that its login gave out, and identity placeholder knows only the " +
	"request at hand, identity jwt without a cookie no token that the login answers with: write identity upstream, or jwt with a cookie, or first_enrolment hold 24h or support in the global options")

// errLoginShared is a step_up that cannot tell the session of a fresh login from
// another one of the same player, such as a stolen one.
var errLoginShared = errors.New("first_enrolment login tells a session that has just been logged in from a stolen one, and an identity source with bind subject " +
	"takes all sessions of a player for one: leave bind subject out, or write first_enrolment hold 24h or support in the global options")

// needsLoginPage reports whether every step_up needs a login page.
func (f *FirstEnrolment) needsLoginPage() bool {
	return f != nil && f.Mode == gate.FirstEnrolmentLogin
}

// needsLoginPage reports whether the global options ask every step_up for a login
// page. What they are is known by then: they stand first.
func needsLoginPage(h httpcaddyfile.Helper) bool {
	option, ok := h.Option(appName).(httpcaddyfile.App)
	var app App
	return ok && json.Unmarshal(option.Value, &app) == nil && app.FirstEnrolment.needsLoginPage()
}

// parseFirstEnrolment reads how a first factor is bound:
//
//	first_enrolment hold <duration>
//	first_enrolment login [<duration>]
//	first_enrolment support
func (a *App) parseFirstEnrolment(d *caddyfile.Dispenser) error {
	word, err := argument(d, "hold and a duration, login, or support, such as first_enrolment hold 24h")
	if err != nil {
		return err
	}
	f := &FirstEnrolment{Mode: gate.FirstEnrolmentMode(word)}
	a.FirstEnrolment = f
	switch f.Mode {
	case gate.FirstEnrolmentHold:
		f.For, err = durationArgument(d, "24h")
	case gate.FirstEnrolmentLogin:
		if d.NextArg() {
			d.Prev()
			f.For, err = durationArgument(d, "10m")
		}
	case gate.FirstEnrolmentSupport:
	default:
		return unknown(d, word, "option of first_enrolment", firstEnrolmentModes)
	}
	if err != nil {
		return err
	}
	if _, err := f.config(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}
