package challengepages

import (
	"html/template"
	"time"
)

// settingsView is the security page: the state first, then what can be done.
type settingsView struct {
	Base string
	// LocalTime is what the script adds to times, with {time} in it.
	LocalTime string
	Notice    string
	State     stateView
	Hold      template.HTML
	// Recovered asks for a new phone after the recovery key was used; empty where it
	// was not.
	Recovered template.HTML
	// Open tells that changes are offered. While the account is frozen none is, but
	// for Lift, which ends the freeze.
	Open, Lift bool
	// Stuck tells that the account is frozen and only support can end that.
	Stuck      bool
	TOTP       totpView
	SMS        smsView
	Recovery   *recoveryView // nil while there is nothing to recover
	Devices    []deviceView
	NewDevices bool
	Recent     []activityView
	Older      []activityView
	More       template.HTML // how many are in Older
	CanTurnOff bool
	Back, Help string
}

// stateView is the state of two-step verification in one glance.
type stateView struct {
	Tone, Icon, Title string
	What              template.HTML
}

func (r *Renderer) fillSettings(f *frame, s Settings) {
	w := f.words
	v := settingsView{
		Base:       formAction(s.Base),
		LocalTime:  w.text("time.local"),
		State:      w.settingsState(s),
		Open:       s.Frozen.IsZero(),
		Lift:       !s.Frozen.IsZero() && s.Liftable,
		Stuck:      !s.Frozen.IsZero() && !s.Liftable,
		TOTP:       w.totpSection(s),
		SMS:        w.smsSection(s),
		Devices:    w.deviceViews(s.Devices),
		NewDevices: s.NewDevices,
		Back:       localPath(s.Back),
	}
	if s.Help != "" {
		v.Help = localPath(s.Help)
	}
	if s.Notice != NoticeNone {
		v.Notice = w.text("notice." + string(s.Notice))
	}
	if v.Open && !s.HeldUntil.IsZero() {
		v.Hold = w.hold(s.HeldFor, s.HeldUntil)
	}
	if v.Open && !s.Recovered.IsZero() {
		v.Recovered = w.html("settings.recovered", "time", w.moment(s.Recovered))
	}
	v.CanTurnOff = v.Open && len(s.Enrolments) > 0
	if len(s.Enrolments) > 0 || s.RecoveryKey {
		v.Recovery = w.recoveryKey(s)
	}
	v.Recent, v.Older = w.activityViews(s.Activities)
	if len(v.Older) > 0 {
		v.More = w.html("activities.more", "n", len(v.Older))
	}
	f.Title = w.text("settings")
	if v.SMS.Problem != "" {
		f.Title = w.text("problem") + f.Title
	}
	f.View, f.Switch = v, r.linkSwitch(f.Lang)
}

// settingsState says whether two-step verification is on, since when and with
// what. An account whose codes are blocked is not off: nothing passes without one.
func (w *words) settingsState(s Settings) stateView {
	switch {
	case !s.Frozen.IsZero():
		return stateView{"bad", iconLock, w.text("settings.frozen"), w.html("settings.frozen.what", "time", w.moment(s.Frozen))}
	case len(s.Enrolments) == 0 && s.RecoveryKey:
		return stateView{"care", iconMark, w.text("settings.key"), w.html("settings.key.what")}
	case len(s.Enrolments) == 0:
		return stateView{"care", iconMark, w.text("settings.off"), w.html("settings.off.what")}
	case allDisabled(s.Enrolments):
		return stateView{"care", iconLock, w.text("settings.on"), w.html("settings.on.blocked")}
	}
	since, unknown := s.Enrolments[0].Since, false
	for _, e := range s.Enrolments {
		unknown = unknown || e.Since.IsZero()
		if e.Since.Before(since) {
			since = e.Since
		}
	}
	what := w.html("settings.on.what")
	if key := "settings.on." + s.Enrolments[0].Factor; !unknown && w.has(key) {
		what = w.html(key, "date", w.day(since))
	}
	return stateView{"good", iconCheck, w.text("settings.on"), what}
}

func allDisabled(enrolments []Enrolment) bool {
	for _, e := range enrolments {
		if !e.Disabled {
			return false
		}
	}
	return true
}

// hold says until when some actions are closed, and why.
func (w *words) hold(cause string, until time.Time) template.HTML {
	key := "settings.hold." + cause
	if !w.has(key) {
		key = "settings.hold"
	}
	return w.html(key, "time", w.moment(until))
}

// recoveryView is the section of the recovery key.
type recoveryView struct {
	State template.HTML
	// Set tells that there is a key, Saved that the player has said they kept it.
	Set, Saved bool
}

func (w *words) recoveryKey(s Settings) *recoveryView {
	v := &recoveryView{Set: s.RecoveryKey, Saved: s.RecoveryKey && s.RecoveryKeySaved}
	switch {
	case !v.Set:
		v.State = w.html("recovery.unset")
	case !v.Saved && s.RecoveryKeySince.IsZero():
		v.State = w.html("recovery.unsaved.unknown")
	case !v.Saved:
		v.State = w.html("recovery.unsaved", "date", w.day(s.RecoveryKeySince))
	case s.RecoveryKeySince.IsZero():
		v.State = w.html("recovery.on")
	default:
		v.State = w.html("recovery.since", "date", w.day(s.RecoveryKeySince))
	}
	return v
}
