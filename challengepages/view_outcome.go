package challengepages

import (
	"fmt"
	"html/template"
)

type outcomeView struct {
	Heading string
	What    template.HTML
	// LocalTime is what the script adds to a time in What, with {time} in it;
	// empty where there is none.
	LocalTime string
	// Tone is a class: "good", "calm" or "care".
	Tone string
	// Icon is the path of a drawing of 24 by 24.
	Icon string
	// Link is a path of the site, or empty; Button says what it leads to.
	Link, Button string
	Again        []Field
}

// The drawings. They repeat what the heading says and are hidden from screen
// readers.
const (
	iconCheck = "M5 12.5l4.5 4.5L19 7.5"
	iconClock = "M12 4a8 8 0 100 16 8 8 0 000-16M12 8v4.5l3 1.5"
	iconCross = "M7 7l10 10M17 7L7 17"
	iconMark  = "M12 6v7.5M12 17.5v.01"
	iconLock  = "M7 11h10v8H7zM9 11V8.5a3 3 0 016 0V11"
)

// outcomeForm is how an outcome looks and what its button says.
type outcomeForm struct{ tone, icon, button string }

var outcomeForms = map[OutcomeKind]outcomeForm{
	OutcomeExpired:         {"calm", iconClock, "back"},
	OutcomeUsedUp:          {"care", iconCross, "back"},
	OutcomeCancelled:       {"calm", iconCheck, "back"},
	OutcomeReported:        {"good", iconCheck, "back"},
	OutcomeReplaced:        {"calm", iconMark, "back"},
	OutcomeAlreadyDone:     {"good", iconCheck, "back"},
	OutcomeConfirmed:       {"good", iconCheck, "back"},
	OutcomeTryLater:        {"care", iconClock, "back"},
	OutcomeCannotHold:      {"care", iconMark, "back"},
	OutcomeAmbiguous:       {"care", iconMark, "back"},
	OutcomeCrossSite:       {"care", iconCross, "back"},
	OutcomeLogin:           {"calm", iconLock, "sign_in"},
	OutcomeEnrol:           {"calm", iconLock, "settings"},
	OutcomeNoFactor:        {"calm", iconLock, "settings"},
	OutcomeFactorsDisabled: {"care", iconLock, "settings"},
	OutcomeOnHold:          {"calm", iconClock, "back"},
	OutcomeFrozen:          {"care", iconLock, "settings"},
	OutcomeFreezeDone:      {"good", iconLock, "settings"},
	OutcomeLinkOver:        {"calm", iconMark, "back"},
	OutcomeLoginFirst:      {"calm", iconLock, "sign_in"},
	OutcomeSupportFirst:    {"calm", iconLock, "help"},
	OutcomeTooMany:         {"calm", iconMark, "settings"},
	OutcomeForeign:         {"calm", iconMark, "back"},
	OutcomeSiteDown:        {"care", iconMark, "retry"},
	OutcomeStoreDown:       {"care", iconMark, "retry"},
	OutcomeNotFound:        {"calm", iconMark, "back"},
	OutcomeInvalidForm:     {"care", iconMark, "back"},
}

func (r *Renderer) fillOutcome(f *frame, o Outcome) error {
	form, ok := outcomeForms[o.Kind]
	if !ok {
		return fmt.Errorf("there is no outcome %q", string(o.Kind))
	}
	w := f.words
	v := outcomeView{
		Heading: w.text("outcome." + string(o.Kind)),
		What:    w.outcome(o),
		Tone:    form.tone,
		Icon:    form.icon,
		Button:  w.text("outcome." + form.button),
	}
	if !o.RetryAt.IsZero() {
		v.LocalTime = w.text("time.local")
	}
	if o.Link != "" {
		v.Link, v.Again = localPath(o.Link), o.Again
	}
	f.Title, f.View, f.Switch = v.Heading, v, r.linkSwitch(f.Lang)
	if len(v.Again) > 0 {
		v.Link = formAction(o.Link)
		f.View, f.Switch = v, nil // a link to the page would leave the fields behind
	}
	return nil
}

// outcome says what happened and what to do. A back-off ends within the hour, so
// its time of day is enough; a cooling-off time may end on another day.
func (w *words) outcome(o Outcome) template.HTML {
	key := "outcome." + string(o.Kind)
	form := ".what"
	if o.RetryAt.IsZero() {
		form = ".none"
	}
	switch o.Kind {
	case OutcomeTryLater:
		return w.html(key+form, "time", bold(w.exactMoment(o.RetryAt)))
	case OutcomeOnHold:
		why := w.html(w.ruleKey(key+".why", o.Cause))
		return w.html(key+form, "time", bold(w.moment(o.RetryAt)), "why", why)
	}
	return w.html(key + ".what")
}
