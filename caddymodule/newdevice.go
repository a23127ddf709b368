package caddymodule

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/policy"
)

// The names of the rules that are not written as protect blocks.
const (
	ruleNewDevice = "new_device"
	ruleLogin     = "site_login"
	ruleLogout    = "site_logout"
)

// NewDevice challenges players, before anything else, whose browser or app their account
// does not trust. Visitors pass. A player who passes may say that the browser is trusted;
// one who does not is asked again in the next session.
//
// A trusted browser only silences this rule. It is no factor for any other.
type NewDevice struct {
	// Paths that are left alone, such as `/assets/*`: exact, or ending in `*`. Only
	// requests that are spelled exactly so are exempt. What `logout` names is exempt
	// anyway. DANGER: whoever holds a stolen password gets these without a second factor.
	ExceptPaths []string `json:"except_paths,omitempty"`

	// The factors that are accepted. Default: totp, sms, recovery_key.
	Factors []policy.Factor `json:"factors,omitempty"`

	// For how long a player is not asked again in the same session who does not trust the
	// browser, 1s to 24h. Default: 24h.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// For how long a browser is trusted, in whole days up to 90. Negative: players are not
	// offered to trust it. It holds for every challenge of the site. Default: 30 days.
	Remember caddy.Duration `json:"remember,omitempty"`

	// For how long a known player is let through without the site being asked whose session
	// it is. Longer is cheaper; for so long a session counts as what it was that became
	// another player's by a login which `login_page` and `login` do not name, at another
	// gateway. Negative: the site is asked, as for every other rule. Default: 5m.
	SessionPass caddy.Duration `json:"session_pass,omitempty"`

	// What players without a second factor meet, as in a rule. DANGER: `allow` lets
	// whoever holds such a player's password in. Default: enrol, which closes the whole
	// site to them until they have set one up.
	Unenrolled policy.Unenrolled `json:"unenrolled,omitempty"`

	// As in a rule.
	Mode Mode `json:"mode,omitempty"`
}

// rule returns it as a rule. What the site names as logouts it leaves alone.
func (n *NewDevice) rule(logouts []string) Rule {
	return Rule{
		kind: policy.NewDevice, Name: ruleNewDevice, Paths: []string{"/*"}, ExceptPaths: slices.Concat(n.ExceptPaths, logouts),
		Factors: n.Factors, MaxAge: n.MaxAge, Unenrolled: n.Unenrolled, Mode: n.Mode,
	}
}

// implied returns the rules that the handler has beside its protect blocks.
func (h *StepUp) implied() ([]Rule, error) {
	var rules []Rule
	if h.NewDevice != nil {
		rules = append(rules, h.NewDevice.rule(h.Logouts))
	}
	if h.LoginPage != "" {
		page, err := url.Parse(h.LoginPage)
		if err != nil || page.Host != "" || page.Path == "" || page.Path[0] != '/' {
			return nil, fmt.Errorf("login_page %q: write a path of the site, such as /login", h.LoginPage)
		}
		// To look at the page logs nobody in.
		rules = append(rules, Rule{
			kind: policy.Login, Name: ruleLogin + "_page", Paths: []string{page.Path}, ExceptMethods: []string{"GET", "HEAD", "OPTIONS"},
		})
	}
	if err := cmp.Or(tooBroad("login", h.Logins), tooBroad("logout", h.Logouts)); err != nil {
		return nil, err
	}
	if len(h.Logins) > 0 {
		rules = append(rules, Rule{kind: policy.Login, Name: ruleLogin, Paths: h.Logins})
	}
	if len(h.Logouts) > 0 {
		rules = append(rules, Rule{kind: policy.Logout, Name: ruleLogout, Paths: h.Logouts})
	}
	return rules, nil
}

// remember and sessionPass return what the gate is told.
func (n *NewDevice) remember() time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(n.Remember)
}

func (n *NewDevice) sessionPass() time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(n.SessionPass)
}

// parseNewDevice reads a new_device block:
//
//	new_device {
//		except       path <pattern> ...
//		remember     <days>d|never
//		factors      totp|sms|recovery_key ...
//		max_age      <duration>
//		session_pass <duration>|off
//		unenrolled   enrol|registered_phone|allow
//		mode         enforce|report
//	}
func (h *StepUp) parseNewDevice(d *caddyfile.Dispenser) error {
	n := new(NewDevice)
	r := n.rule(nil)
	err := r.parseOptions(d, "new_device", []option{
		{name: "except", many: true, parse: func(d *caddyfile.Dispenser) error {
			words, err := arguments(d, "path and what is left alone, such as except path /assets/*")
			if err != nil {
				return err
			}
			if words[0] != "path" || len(words) < 2 {
				return d.Errf("except in new_device takes paths only: write except path and one or more, such as except path /assets/*")
			}
			n.ExceptPaths = append(n.ExceptPaths, words[1:]...)
			r.ExceptPaths = n.ExceptPaths
			return nil
		}},
		{name: "remember", parse: n.parseRemember},
		{name: "factors", parse: r.parseFactors},
		duration("max_age", "24h", &r.MaxAge),
		{name: "session_pass", parse: n.parseSessionPass},
		text("unenrolled", "enrol, registered_phone or allow", (*string)(&r.Unenrolled)),
		{name: "mode", parse: r.Mode.parse},
	})
	n.Factors, n.MaxAge, n.Unenrolled, n.Mode = r.Factors, r.MaxAge, r.Unenrolled, r.Mode
	h.NewDevice = n
	return err
}

func (n *NewDevice) parseRemember(d *caddyfile.Dispenser) error {
	value, err := argument(d, "a number of days such as 30d, or never")
	if err != nil {
		return err
	}
	if value == "never" {
		n.Remember = -1
		return nil
	}
	parsed, err := caddy.ParseDuration(value)
	if err != nil || parsed <= 0 || parsed > gate.MaxRemember || parsed%(24*time.Hour) != 0 {
		return d.Errf("remember %q: write whole days from 1d to 90d, such as 30d, or never", value)
	}
	n.Remember = caddy.Duration(parsed)
	return nil
}

func (n *NewDevice) parseSessionPass(d *caddyfile.Dispenser) error {
	value, err := argument(d, "a duration such as 5m, or off")
	if err != nil {
		return err
	}
	if value == "off" {
		n.SessionPass = -1
		return nil
	}
	parsed, err := caddy.ParseDuration(value)
	if err != nil || parsed < time.Second || parsed > maxSessionPass {
		return d.Errf("session_pass %q: write 1s to 1h, such as 5m, or off", value)
	}
	n.SessionPass = caddy.Duration(parsed)
	return nil
}

// maxSessionPass is the longest life of a session pass.
const maxSessionPass = time.Hour

// check reports what is wrong in a configuration that did not come from a Caddyfile.
func (n *NewDevice) check() error {
	if n != nil && time.Duration(n.SessionPass) > maxSessionPass {
		return fmt.Errorf("session_pass of new_device is %s: want at most %s", time.Duration(n.SessionPass), maxSessionPass)
	}
	return nil
}

// tooBroad refuses a login or logout that is every request: each would end what the session
// has, so that nobody ever got past a challenge.
func tooBroad(name string, paths []string) error {
	if slices.Contains(paths, "/*") {
		return fmt.Errorf("%s \"/*\" takes every request for a %[1]s: write the path alone that players use for it, such as /%[1]s", name)
	}
	return nil
}

// visitPaths is an option whose arguments are paths at which players log in or out.
func visitPaths(name, example string, into *[]string) option {
	return option{name: name, many: true, parse: func(d *caddyfile.Dispenser) error {
		paths, err := arguments(d, "one or more paths, such as "+example)
		if err != nil {
			return err
		}
		if err := tooBroad(name, paths); err != nil {
			return d.WrapErr(err)
		}
		r := Rule{Name: name, Paths: paths}
		if err := r.try(d); err != nil {
			return err
		}
		*into = append(*into, paths...)
		return nil
	}}
}
