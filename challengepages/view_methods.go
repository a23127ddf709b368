package challengepages

import (
	"html/template"
	"strconv"
	"time"
)

// methodView is what the sections of both methods have. Either the one or the
// other is on, never both.
type methodView struct {
	// Set tells that the method is on, Blocked that its codes are not accepted after
	// too many wrong ones. Other tells that the other method is on, and would end.
	Set, Blocked, Other bool
}

// totpView is the section of the authenticators.
type totpView struct {
	methodView
	Authenticators []authenticatorView
	// First tells that none is there; Only that one is; Full that no more fit.
	First, Only, Full bool
}

// authenticatorView is one authenticator. Name is untrusted text, already harmless
// to the reader, that the template escapes.
type authenticatorView struct {
	ID, Name    string
	Since, Used template.HTML
	Removable   bool
	Warning     template.HTML
}

func (w *words) totpSection(s Settings) totpView {
	v := totpView{Full: s.Full}
	for _, e := range s.Enrolments {
		if e.Factor == "sms" {
			v.Other = true
			continue
		}
		a := authenticatorView{
			ID: e.ID, Name: shown(e.Name), Since: w.since(e.Since), Used: w.used(e.Used), Removable: e.Removable,
		}
		if e.Name == "" {
			n := strconv.Itoa(len(v.Authenticators) + 1)
			a.Name = w.message("totp.unnamed").other.fill(map[string]string{"n": n})
		}
		a.Warning = w.html("remove.warn", "name", a.Name)
		v.Authenticators = append(v.Authenticators, a)
		v.Blocked = v.Blocked || e.Disabled
	}
	v.Set, v.First, v.Only = len(v.Authenticators) > 0, len(v.Authenticators) == 0, len(v.Authenticators) == 1
	return v
}

// smsView is the section of the SMS codes.
type smsView struct {
	methodView
	// Offered tells that a number can be chosen.
	Offered     bool
	Phone       string
	Since, Used template.HTML
	// Registered offers the number that the site knows; empty for none.
	Registered template.HTML
	Problem    template.HTML
	// Typed is what was typed, to go with Problem.
	Typed string
}

func (w *words) smsSection(s Settings) smsView {
	v := smsView{Offered: !s.NoSMS, Problem: w.problem(s.Problem, situation{ways: "setup"})}
	// A number that is already the one of the codes need not be offered again. Both
	// are masked: two that look the same are for the player the same.
	registered := s.RegisteredPhone
	for _, e := range s.Enrolments {
		if e.Factor != "sms" {
			v.Other = true
			continue
		}
		v.Set, v.Blocked, v.Phone = true, e.Disabled, shown(unbroken(e.Phone))
		v.Since, v.Used = w.since(e.Since), w.used(e.Used)
		if registered == e.Phone {
			registered = ""
		}
	}
	if registered != "" {
		v.Registered = w.html("sms.registered", "phone", unbroken(registered))
	}
	if v.Problem != "" {
		v.Typed = visible(s.Typed)
	}
	return v
}

// since tells from when on something is there; empty where nobody knows.
func (w *words) since(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	return w.html("settings.since", "date", w.day(t))
}

// used tells when a method last answered.
func (w *words) used(t time.Time) template.HTML {
	if t.IsZero() {
		return w.html("settings.unused")
	}
	return w.html("settings.used", "time", w.moment(t))
}
