package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/sms"
)

// SMS says how SMS codes are sent, and how many.
type SMS struct {
	// The sender: exactly one module of the namespace `stepgate.senders`.
	SendersRaw []json.RawMessage `json:"senders,omitempty" caddy:"namespace=stepgate.senders inline_key=module"`

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

	// How many SMS may be caused. The limits that stand here take the place of the
	// default ones of the same scope. Default: 5 an hour and 10 a day for each
	// number, 5 an hour for each account, 10 an hour for each client address, 10 in
	// ten minutes for each block of numbers.
	Limits []SMSLimit `json:"limits,omitempty"`

	// How long one hand-over to the sender may take. Default: 9s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
}

// SMSLimit bounds the SMS that one number, account, address or block causes.
type SMSLimit struct {
	// What is counted: `number`, the receiving number; `account`, the player;
	// `address`, the client's address; `block`, the number without its last four
	// digits, which stops a walk through a range of numbers.
	Scope gate.SMSScope `json:"scope"`
	// How many, 1 or more.
	Max int64 `json:"max"`
	// The time in which they are counted. It begins with the first of them.
	Window caddy.Duration `json:"window"`
}

// smsScopes are the scopes of limits.
var smsScopes = []gate.SMSScope{gate.SMSPerNumber, gate.SMSPerAccount, gate.SMSPerAddress, gate.SMSPerBlock}

// load returns the sender, and checks the rest.
func (s *SMS) load(ctx caddy.Context) (sms.Sender, error) {
	if len(s.SendersRaw) != 1 {
		return nil, fmt.Errorf("%d senders are configured: want exactly one, such as console", len(s.SendersRaw))
	}
	if s.Timeout < 0 {
		return nil, errors.New("timeout is negative: write how long a hand-over may take, such as 9s")
	}
	if err := s.numbering().Validate(); err != nil {
		return nil, err
	}
	for _, l := range s.Limits {
		if err := l.check(); err != nil {
			return nil, err
		}
	}
	mods, err := ctx.LoadModule(s, "SendersRaw")
	if err != nil {
		return nil, err
	}
	list, ok := mods.([]any)
	if !ok || len(list) != 1 {
		return nil, fmt.Errorf("loading the sender gave %T", mods) // unreachable
	}
	sender, ok := list[0].(sms.Sender)
	if !ok {
		return nil, fmt.Errorf("module of type %T is no sender", list[0])
	}
	return sender, nil
}

// numbering returns which numbers get codes.
func (s *SMS) numbering() sms.Numbering {
	return sms.Numbering{Regions: s.Countries, Types: s.Numbers}
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

func (l SMSLimit) check() error {
	for _, scope := range smsScopes {
		if l.Scope != scope {
			continue
		}
		if l.Max < 1 || l.Window < caddy.Duration(time.Second) {
			return fmt.Errorf("limit of %d per %v for each %s: want at least 1 per 1s", l.Max, time.Duration(l.Window), l.Scope)
		}
		return nil
	}
	return fmt.Errorf("limit for each %q: want number, account, address or block", string(l.Scope))
}

// limits returns the limits of each scope, the default ones where none are
// configured.
func (s *SMS) limits() gate.SMSLimits {
	all := gate.DefaultSMSLimits()
	configured := gate.SMSLimits{}
	for _, l := range s.Limits {
		configured[l.Scope] = append(configured[l.Scope], gate.SMSLimit{Max: l.Max, Window: time.Duration(l.Window)})
	}
	for scope, limits := range configured {
		all[scope] = limits
	}
	return all
}
