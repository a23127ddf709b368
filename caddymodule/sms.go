package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/sms/failover"
)

// SMS says how SMS codes are sent, and how many.
type SMS struct {
	// Who carries them, in the order in which they are tried. Required.
	Providers []SMSProvider `json:"providers,omitempty"`

	// The providers for numbers of a country, by its ISO 3166-1 alpha-2 code in
	// capitals, in the order in which they are tried. Default: all of them.
	Routes map[string][]string `json:"routes,omitempty"`

	// How long one provider may take. Default: 5s.
	AttemptTimeout caddy.Duration `json:"attempt_timeout,omitempty"`

	// How long sending may take in all, with a second provider: so long the player may
	// have to wait for a page. Default: 9s.
	TotalTimeout caddy.Duration `json:"total_timeout,omitempty"`

	// The countries whose mobile numbers get codes, as ISO 3166-1 alpha-2 codes in
	// capitals. A number that is written without its country code belongs to the
	// first. Default: `ID`. Every country more is one more in which a fraudster can
	// run up a bill.
	Countries []string `json:"countries,omitempty"`

	// The types of numbers that get codes, `mobile` always among them; they take the
	// place of the default. `fixed_or_mobile` are those of regions that do not tell
	// the two apart, as all of North America. DANGER: `voip` and `personal` numbers are
	// cheap to have by the thousand and prove that nobody holds a phone; `fixed` lines
	// are mostly no good for SMS, and every one of the three may cost a multiple.
	// Premium, shared-cost, toll-free, pager, company-wide and voicemail numbers never
	// get codes. Default: `mobile` and `fixed_or_mobile`.
	Numbers []sms.NumberType `json:"numbers,omitempty"`

	// Beginnings of numbers that get no codes, with + and country code, such as
	// `+62868`. Default: none beside satellite networks.
	Deny []string `json:"deny,omitempty"`

	// The countries to whose numbers a code comes with a last line that binds it to this
	// site (`@casino.example #123456`), so that a browser fills it in nowhere else; `*`
	// for all, `none` for none. Networks of some countries, Indonesia among them, may drop an SMS with a
	// domain that was not registered. Default: all but `ID`.
	OriginLine []string `json:"origin_line,omitempty"`

	// How many SMS may be asked for. The limits that stand here take the place of the
	// default ones of the same scope. Default: 5 an hour and 10 a day for each number, 5
	// an hour for each account, 10 an hour for each client address, 30 an hour for its
	// network, 10 in ten minutes for each block of numbers, 30 a minute and 3000 a day
	// for each country, 60 a minute and 5000 a day in all.
	Limits []SMSLimit `json:"limits,omitempty"`

	// How much may be spent, at the price below. Default: as much as the limits let.
	Budgets []SMSBudget `json:"budgets,omitempty"`

	// What one SMS costs at the dearest provider, in the currency of the budgets, such as
	// `0.04`.
	Price string `json:"price,omitempty"`

	// When messages to numbers of one beginning stop because hardly anybody types the
	// codes in, which is what fraud looks like.
	Conversion *SMSConversion `json:"conversion,omitempty"`

	// `enforce`; or `report`, in which limits, budgets and conversion refuse nothing, and
	// log and count what they would refuse. DANGER: in report mode nothing bounds what
	// SMS cost. Default: enforce.
	Mode Mode `json:"mode,omitempty"`

	// prints says that a provider prints the codes, and gives no reason why it may.
	prints bool
}

// SMSProvider is a provider of the operator's.
type SMSProvider struct {
	// The name by which routes, logs and the address for receipts call it. Default: the
	// name of the module.
	Name string `json:"name,omitempty"`
	// The module of the namespace `stepgate.senders`. Required.
	SenderRaw json.RawMessage `json:"sender,omitempty" caddy:"namespace=stepgate.senders inline_key=module"`
}

// SMSLimit bounds the SMS that one number, account, address and so on causes.
type SMSLimit struct {
	// What is counted: `number`, the receiving number; `account`, the player;
	// `address`, the client's address; `network`, its /24 or, in IPv6, its /56; `block`,
	// the number without its last four digits, which stops a walk through a range of
	// numbers; `country`; `all`.
	Scope smsguard.Scope `json:"scope"`
	// How many, 1 or more.
	Max int64 `json:"max"`
	// The time in which they are counted. It begins with the first of them.
	Window caddy.Duration `json:"window"`
}

// SMSBudget bounds what is spent.
type SMSBudget struct {
	// How much, in the currency of the price, such as `50`.
	Max string `json:"max"`
	// In which time, whenever it begins.
	Window caddy.Duration `json:"window"`
}

// SMSConversion watches which share of the codes is typed in.
type SMSConversion struct {
	// The percentage below which the operator is warned. Default: 30; -1 for never.
	WarnBelow int `json:"warn_below,omitempty"`
	// The percentage below which messages stop. Default: 10; -1 for never.
	StopBelow int `json:"stop_below,omitempty"`
	// How many messages it takes to tell, in a quarter of an hour. Default: 30.
	MinSends int64 `json:"min_sends,omitempty"`
	// How long they stop. Default: 1h.
	StopFor caddy.Duration `json:"stop_for,omitempty"`
	// Do not watch. DANGER: what is left against fraud are limits and budgets.
	Off bool `json:"off,omitempty"`
}

// Words in OriginLine beside countries.
const (
	allCountries = "*"
	noCountries  = "none"
)

// load returns what carries SMS, and checks the rest.
func (s *SMS) load(ctx caddy.Context, alarm func(provider string, e failover.Event, err error)) (*courier.Courier, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	guard, err := s.guard()
	if err != nil {
		return nil, err
	}
	c := &courier.Courier{Guard: guard, Receivers: map[string]sms.Receiver{}, Timeout: time.Duration(s.TotalTimeout)}
	var providers []failover.Provider
	for i := range s.Providers {
		p := &s.Providers[i]
		sender, verifier, err := p.load(ctx)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", p.Name, err)
		}
		if console, ok := sender.(*ConsoleSender); ok && console.UnsafeConsole == "" {
			s.prints = true
		}
		var carries any = sender
		if verifier != nil {
			if len(s.Providers) > 1 {
				return nil, fmt.Errorf("provider %s makes the codes itself, and nobody can stand in for it, nor it for others: write it alone", p.Name)
			}
			c.Verifier, c.VerifierName, carries = verifier, p.Name, verifier
		} else {
			providers = append(providers, failover.Provider{Name: p.Name, Sender: sender})
		}
		if receiver, ok := carries.(sms.Receiver); ok {
			c.Receivers[p.Name] = receiver
		}
	}
	if c.Verifier != nil {
		if len(s.Routes) > 0 {
			return nil, errors.New("a provider that makes the codes itself takes no route: remove it")
		}
		return c, nil
	}
	c.Carrier, err = failover.New(failover.Config{
		Providers: providers, Routes: s.Routes, Alarm: alarm,
		AttemptTimeout: time.Duration(s.AttemptTimeout), TotalTimeout: time.Duration(s.TotalTimeout),
	})
	return c, err
}

// check reports what is wrong beside the modules.
func (s *SMS) check() error {
	if len(s.Providers) == 0 {
		return errors.New("no sender is configured: write one, such as vonage, webhook or, for development, console")
	}
	if s.AttemptTimeout < 0 || s.TotalTimeout < 0 {
		return errors.New("a timeout is negative: write how long sending may take, such as attempt_timeout 5s and total_timeout 9s")
	}
	if err := s.numbering().Validate(); err != nil {
		return err
	}
	for _, country := range s.OriginLine {
		if country == allCountries || country == noCountries {
			continue
		}
		if err := (sms.Numbering{Regions: []string{country}}).Validate(); err != nil {
			return fmt.Errorf("origin_line: %w", err)
		}
	}
	if s.Mode != "" && s.Mode != ModeEnforce && s.Mode != ModeReport {
		return fmt.Errorf("mode %q: want %s or %s", string(s.Mode), ModeEnforce, ModeReport)
	}
	var names []string
	for i := range s.Providers {
		p := &s.Providers[i]
		if err := p.nameIt(); err != nil {
			return err
		}
		if slices.Contains(names, p.Name) {
			return fmt.Errorf("two providers are named %q: give each a name of its own, such as provider backup %s", p.Name, p.module())
		}
		names = append(names, p.Name)
	}
	for country, route := range s.Routes {
		for _, name := range route {
			if !slices.Contains(names, name) {
				return fmt.Errorf("route %s: there is no provider %q: write one or more of %s", country, name, strings.Join(names, ", "))
			}
		}
	}
	return nil
}

// module returns the name of the provider's module.
func (p *SMSProvider) module() string {
	var module struct {
		Module string `json:"module"`
	}
	if err := json.Unmarshal(p.SenderRaw, &module); err != nil {
		return ""
	}
	return module.Module
}

// nameIt names a provider that has no name after its module.
func (p *SMSProvider) nameIt() error {
	if p.Name == "" {
		p.Name = p.module()
	}
	// It stands in the address for receipts.
	ok := strings.TrimFunc(p.Name, func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_'
	}) == ""
	if p.Name == "" || !ok || len(p.Name) > 32 {
		return fmt.Errorf("provider %q: want a name of 1 to 32 small letters, digits, - and _, such as main", p.Name)
	}
	return nil
}

// load loads the provider's module. One of sender and verifier is nil.
func (p *SMSProvider) load(ctx caddy.Context) (sms.Sender, sms.Verifier, error) {
	module, err := ctx.LoadModule(p, "SenderRaw")
	if err != nil {
		return nil, nil, err
	}
	return openSender(module)
}

// guard returns what keeps a flood from running away with the operator's money.
func (s *SMS) guard() (*smsguard.Guard, error) {
	c := smsguard.Config{Limits: s.limits(), Denied: s.Deny, Report: s.Mode == ModeReport}
	var err error
	if s.Price != "" {
		if c.Price, err = smsguard.ParseMoney(s.Price); err != nil {
			return nil, fmt.Errorf("price: %w", err)
		}
	}
	for _, b := range s.Budgets {
		limit, err := smsguard.ParseMoney(b.Max)
		if err != nil {
			return nil, fmt.Errorf("budget: %w", err)
		}
		c.Budgets = append(c.Budgets, smsguard.Budget{Max: limit, Window: time.Duration(b.Window)})
	}
	if w := s.Conversion; w != nil {
		c.Conversion = smsguard.Conversion{
			WarnBelow: w.WarnBelow, StopBelow: w.StopBelow, MinSends: w.MinSends, StopFor: time.Duration(w.StopFor), Off: w.Off,
		}
	}
	return smsguard.New(c)
}

// limits returns the limits of each scope, the default ones where none are
// configured.
func (s *SMS) limits() smsguard.Limits {
	all := smsguard.DefaultLimits()
	configured := smsguard.Limits{}
	for _, l := range s.Limits {
		configured[l.Scope] = append(configured[l.Scope], smsguard.Limit{Max: l.Max, Window: time.Duration(l.Window)})
	}
	for scope, limits := range configured {
		all[scope] = limits
	}
	return all
}

// numbering returns which numbers get codes.
func (s *SMS) numbering() sms.Numbering {
	return sms.Numbering{Regions: s.Countries, Types: s.Numbers}
}

// bindsOrigin reports whether codes for numbers of a country bind themselves to the
// site.
func (s *SMS) bindsOrigin(region string) bool {
	if len(s.OriginLine) == 0 {
		return challengepages.DefaultOriginLine(region)
	}
	return slices.Contains(s.OriginLine, allCountries) || slices.Contains(s.OriginLine, region)
}

// risky returns the types that get codes although they cost more or prove less.
func (s *SMS) risky() []string {
	var risky []string
	for _, t := range s.Numbers {
		if t != sms.Mobile && t != sms.FixedOrMobile {
			risky = append(risky, string(t))
		}
	}
	return risky
}

// fits reports whether SMS may be sent for the site of a handler that is being
// provisioned, and whether its address fits into them.
func (s *SMS) fits(ctx caddy.Context, publicURL string, pages *challengepages.Renderer) error {
	// Without a public URL the host is known with each request only, and the line is left
	// out where it does not fit.
	public := ""
	if u, err := url.Parse(publicURL); err == nil {
		public = u.Hostname()
	}
	remote := public != "" && !isLoopback(public)
	if s.prints {
		// Behind a proxy on this machine the public URL alone tells of players.
		server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
		if !ok || !isLocal(server) || remote {
			return errConsole
		}
	}
	if !remote || !slices.ContainsFunc(s.numbering().CodeRegions(), s.bindsOrigin) {
		return nil
	}
	return pages.CheckHost(public)
}
