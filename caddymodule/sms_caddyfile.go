package caddymodule

import (
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms"
)

// parseSMS reads how SMS are sent:
//
//	sms {
//		<sender> ...
//		provider <name> <sender> ...
//		route       <country> <provider> ...
//		attempt_timeout <duration>
//		total_timeout   <duration>
//		countries   <country> ...
//		numbers     mobile|fixed_or_mobile|voip|personal|fixed ...
//		deny        <prefix> ...
//		origin_line <country>|*|none ...
//		limit       number|account|address|network|block|country|all <count> per <duration>
//		budget      <amount> per hour|day|<duration> at <price>
//		conversion  off
//		conversion {
//			warn_below <percentage>
//			stop_below <percentage>
//			min_sends  <count>
//			stop_for   <duration>
//		}
//		mode        enforce|report
//	}
func (a *App) parseSMS(d *caddyfile.Dispenser) error {
	s := new(SMS)
	a.SMS = s
	block := *d // a copy, which goes on pointing here
	options := []option{
		{name: "provider", many: true, parse: s.parseProvider},
		{name: "route", many: true, parse: s.parseRoute},
		duration("attempt_timeout", "5s", &s.AttemptTimeout),
		duration("total_timeout", "9s", &s.TotalTimeout),
		{name: "countries", parse: s.parseCountries},
		{name: "numbers", parse: s.parseNumbers},
		{name: "deny", parse: s.parseDeny},
		{name: "origin_line", parse: s.parseOriginLine},
		{name: "limit", many: true, parse: s.parseLimit},
		{name: "budget", many: true, parse: s.parseBudget},
		{name: "conversion", parse: s.parseConversion},
		{name: "mode", parse: s.parseMode},
	}
	for _, name := range guests(senderNamespace) {
		options = append(options, option{name: name, parse: func(d *caddyfile.Dispenser) error { return s.addProvider(d, "") }})
	}
	if err := parseBlock(d, "sms", options); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return block.WrapErr(err)
	}
	if _, err := s.guard(); err != nil {
		return block.WrapErr(err)
	}
	return nil
}

// addProvider reads a sender, whose module's name is the current token.
func (s *SMS) addProvider(d *caddyfile.Dispenser, name string) error {
	raw, err := guest(d, senderNamespace, "sender")
	if err != nil {
		return err
	}
	p := SMSProvider{Name: name, SenderRaw: raw}
	if err := p.nameIt(); err != nil {
		return d.WrapErr(err)
	}
	s.Providers = append(s.Providers, p)
	return nil
}

func (s *SMS) parseProvider(d *caddyfile.Dispenser) error {
	const want = "a name of your own and a sender, such as provider backup webhook"
	name, err := argument(d, want)
	if err != nil {
		return err
	}
	if !d.NextArg() {
		return d.Errf("provider needs %s", want)
	}
	return s.addProvider(d, name)
}

func (s *SMS) parseRoute(d *caddyfile.Dispenser) error {
	const want = "a country and its providers in the order in which they are tried, such as route ID main backup"
	args, err := arguments(d, want)
	if err != nil {
		return err
	}
	if len(args) < 2 {
		return d.Errf("route needs %s", want)
	}
	if err := (sms.Numbering{Regions: args[:1]}).Validate(); err != nil {
		return d.WrapErr(err)
	}
	if _, twice := s.Routes[args[0]]; twice {
		return d.Errf("there are two routes for %s: write one", args[0])
	}
	if s.Routes == nil {
		s.Routes = map[string][]string{}
	}
	s.Routes[args[0]] = args[1:]
	return nil
}

func (s *SMS) parseCountries(d *caddyfile.Dispenser) error {
	var err error
	if s.Countries, err = arguments(d, "one or more country codes in capitals, such as ID"); err != nil {
		return err
	}
	if err := s.numbering().Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (s *SMS) parseNumbers(d *caddyfile.Dispenser) error {
	names, err := arguments(d, "mobile and what gets codes besides, such as numbers mobile fixed_or_mobile")
	if err != nil {
		return err
	}
	for _, name := range names {
		s.Numbers = append(s.Numbers, sms.NumberType(name))
	}
	if err := s.numbering().Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (s *SMS) parseDeny(d *caddyfile.Dispenser) error {
	var err error
	if s.Deny, err = arguments(d, "one or more beginnings of numbers, such as deny +62811"); err != nil {
		return err
	}
	if err := (&smsguard.Config{Denied: s.Deny}).Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (s *SMS) parseOriginLine(d *caddyfile.Dispenser) error {
	var err error
	s.OriginLine, err = arguments(d, "the countries to whose numbers codes come with the site's address, such as origin_line SG MY, or * or none")
	return err
}

func (s *SMS) parseLimit(d *caddyfile.Dispenser) error {
	const want = "what is counted, how many, the word per and a duration, such as limit number 5 per 1h"
	args, err := arguments(d, want)
	if err != nil {
		return err
	}
	if len(args) != 4 || args[2] != "per" {
		return d.Errf("limit needs %s", want)
	}
	l := SMSLimit{Scope: smsguard.Scope(args[0])}
	if !slices.Contains(smsguard.Scopes(), l.Scope) {
		var scopes []string
		for _, scope := range smsguard.Scopes() {
			scopes = append(scopes, string(scope))
		}
		return unknown(d, args[0], "thing that SMS are counted for", scopes)
	}
	if l.Max, err = strconv.ParseInt(args[1], 10, 32); err != nil {
		return d.Errf("%q is no count: write a whole number, such as 5", args[1])
	}
	if l.Window, err = window(d, args[3]); err != nil {
		return err
	}
	s.Limits = append(s.Limits, l)
	if err := (&smsguard.Config{Limits: s.limits()}).Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (s *SMS) parseBudget(d *caddyfile.Dispenser) error {
	const want = "an amount, a time and what one SMS costs, such as budget 50 per hour at 0.04"
	args, err := arguments(d, want)
	if err != nil {
		return err
	}
	if len(args) != 5 || args[1] != "per" || args[3] != "at" {
		return d.Errf("budget needs %s", want)
	}
	if s.Price != "" && s.Price != args[4] {
		return d.Errf("one SMS costs %s in one budget and %s in another: write what it costs at the dearest provider in both", s.Price, args[4])
	}
	b := SMSBudget{Max: args[0]}
	if b.Window, err = window(d, args[2]); err != nil {
		return err
	}
	s.Price, s.Budgets = args[4], append(s.Budgets, b)
	if _, err := s.guard(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// window reads a duration, or a word for one.
func window(d *caddyfile.Dispenser, word string) (caddy.Duration, error) {
	switch word {
	case "minute":
		return caddy.Duration(time.Minute), nil
	case "hour":
		return caddy.Duration(time.Hour), nil
	case "day":
		return caddy.Duration(24 * time.Hour), nil
	}
	parsed, err := caddy.ParseDuration(word)
	if err != nil {
		return 0, d.Errf("%q is no duration: write a number and a unit, such as 1h, or minute, hour or day", word)
	}
	return caddy.Duration(parsed), nil
}

func (s *SMS) parseConversion(d *caddyfile.Dispenser) error {
	c := new(SMSConversion)
	s.Conversion = c
	if d.NextArg() {
		if d.Val() != "off" {
			return d.Errf("%q after conversion is not known: write off, or a block with warn_below, stop_below, min_sends and stop_for", d.Val())
		}
		c.Off = true
		return nil
	}
	percentage := func(name string, into *int) option {
		return option{name: name, parse: func(d *caddyfile.Dispenser) error {
			value, err := argument(d, "a percentage such as 10, or never")
			if err != nil {
				return err
			}
			if value == "never" {
				*into = -1
				return nil
			}
			if *into, err = strconv.Atoi(value); err != nil || *into < 1 || *into > 100 {
				return d.Errf("%q after %s is no percentage: write 1 to 100, or never", value, name)
			}
			return nil
		}}
	}
	err := parseBlock(d, "conversion", []option{
		percentage("warn_below", &c.WarnBelow),
		percentage("stop_below", &c.StopBelow),
		{name: "min_sends", parse: func(d *caddyfile.Dispenser) error {
			value, err := argument(d, "a count such as 30")
			if err != nil {
				return err
			}
			if c.MinSends, err = strconv.ParseInt(value, 10, 32); err != nil || c.MinSends < 1 {
				return d.Errf("%q after min_sends is no count: write a whole number, such as 30", value)
			}
			return nil
		}},
		duration("stop_for", "1h", &c.StopFor),
	})
	if err != nil {
		return err
	}
	if _, err := s.guard(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (s *SMS) parseMode(d *caddyfile.Dispenser) error {
	value, err := argument(d, "enforce or report")
	if err != nil {
		return err
	}
	s.Mode = Mode(value)
	if s.Mode != ModeEnforce && s.Mode != ModeReport {
		return unknown(d, value, "mode", []string{string(ModeEnforce), string(ModeReport)})
	}
	return nil
}
