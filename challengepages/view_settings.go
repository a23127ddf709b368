package challengepages

import (
	"html/template"
)

type settingsView struct {
	Base      string
	Notice    string
	Hold      template.HTML
	On        bool
	TOTP, SMS factorView
	// Registered offers the number that the site knows; empty for none.
	Registered template.HTML
	Problem    template.HTML
	SMSOffered bool
	Recovery   *factorView // nil while there is nothing to recover
	CanTurnOff bool
	Back       string
	Check      string
	Mark       string
}

// factorView is one factor's row.
type factorView struct {
	State template.HTML
	// On tells that it can be used, Set that it is there, be it disabled.
	On, Set bool
}

func (r *Renderer) fillSettings(f *frame, s Settings) {
	w := f.words
	v := settingsView{
		Base:  formAction(s.Base),
		TOTP:  factorView{State: w.html("settings.unset")},
		SMS:   factorView{State: w.html("settings.unset")},
		Back:  localPath(s.Back),
		Check: iconCheck,
		Mark:  iconMark,
	}
	for _, e := range s.Enrolments {
		row := &v.TOTP
		if e.Factor == "sms" {
			row = &v.SMS
		}
		*row = w.enrolment(e)
		v.On = v.On || row.On
	}
	if s.Notice != NoticeNone {
		v.Notice = w.text("notice." + string(s.Notice))
	}
	if !s.HeldUntil.IsZero() {
		v.Hold = w.html("settings.hold", "time", strong(w.dateClock(s.HeldUntil)))
	}
	if s.RegisteredPhone != "" {
		v.Registered = w.html("sms.registered", "phone", unbroken(s.RegisteredPhone))
	}
	v.Problem = w.setupProblem(s.Problem, 0)
	v.SMSOffered = !s.NoSMS
	v.CanTurnOff = len(s.Enrolments) > 0
	if v.CanTurnOff || s.RecoveryKey {
		v.Recovery = w.recoveryKey(s)
	}
	f.Title = w.text("settings")
	if v.Problem != "" {
		f.Title = w.text("problem") + f.Title
	}
	f.View, f.Switch = v, r.linkSwitch(f.Lang)
}

func (w *words) enrolment(e Enrolment) factorView {
	v := factorView{Set: true, On: !e.Disabled}
	switch {
	case e.Disabled:
		v.State = w.html("settings.disabled")
	case e.Factor == "sms" && e.Since.IsZero():
		v.State = w.html("settings.phone.unknown", "phone", unbroken(e.Phone))
	case e.Factor == "sms":
		v.State = w.html("settings.phone.since", "phone", unbroken(e.Phone), "date", template.HTML(w.date(e.Since)))
	case e.Since.IsZero():
		v.State = w.html("settings.since.unknown")
	default:
		v.State = w.html("settings.since", "date", template.HTML(w.date(e.Since)))
	}
	return v
}

func (w *words) recoveryKey(s Settings) *factorView {
	switch {
	case !s.RecoveryKey:
		return &factorView{State: w.html("recovery.unset")}
	case s.RecoveryKeySince.IsZero():
		return &factorView{State: w.html("recovery.on"), On: true, Set: true}
	}
	return &factorView{
		State: w.html("recovery.since", "date", template.HTML(w.date(s.RecoveryKeySince))),
		On:    true, Set: true,
	}
}
