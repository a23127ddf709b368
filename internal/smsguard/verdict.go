package smsguard

import (
	"fmt"
	"time"
)

// Reason says why a message is refused, in one of a fixed set of words: it stands in
// audit events and metrics.
type Reason string

// The reasons beside those of limits, which are "limit_" and the scope.
const (
	ReasonDenied     Reason = "denied_prefix" // the operator does not send there
	ReasonConversion Reason = "conversion"    // hardly any code sent there is typed in
	ReasonBudget     Reason = "budget"        // a budget is spent
)

// Reasons are all reasons.
func Reasons() []Reason {
	var all []Reason
	for _, scope := range Scopes() {
		all = append(all, reasonOf(scope))
	}
	return append(all, ReasonDenied, ReasonConversion, ReasonBudget)
}

func reasonOf(scope Scope) Reason { return Reason("limit_" + string(scope)) }

// Verdict says whether a message may be sent.
type Verdict struct {
	// Reason says why not; it is empty for a message that may be.
	Reason Reason
	// Reported tells that Reason is only what would be refused: the mode is report.
	Reported bool
	// Alerts are what the operator should know. Each is given to one caller, once in its
	// window, on whichever gateway, so it is to be told also where an error came with it.
	Alerts []Alert
}

// refuse adds a reason, if it is one. The first one stands.
func (v *Verdict) refuse(why Reason) {
	if v.Reason == "" {
		v.Reason = why
	}
}

// OK reports whether the message may be sent.
func (v Verdict) OK() bool { return v.Reason == "" || v.Reported }

// AlertKind names an alert, in one of a fixed set of words.
type AlertKind string

// The kinds of alerts.
const (
	AlertConversionLow     AlertKind = "conversion_low"     // few codes are typed in
	AlertConversionStopped AlertKind = "conversion_stopped" // hardly any, so no more messages
	AlertBudgetLow         AlertKind = "budget_low"         // four fifths are spent
	AlertBudgetSpent       AlertKind = "budget_spent"       // a message was refused
)

// Alert is something for the operator. It names no number.
type Alert struct {
	Kind AlertKind
	// Prefix is the beginning of the numbers concerned, "+628123", and Provider the
	// provider, empty for all of them together. Of Sent messages Verified were answered
	// with their code. Messages stop until Until. All for conversion only.
	Prefix, Provider string
	Sent, Verified   int64
	Until            time.Time
	// Spent is how much of Max is spent in Window. For budgets only.
	Spent, Max Money
	Window     time.Duration
}

// String returns the alert in a sentence for the operator.
func (a Alert) String() string {
	via := ""
	if a.Provider != "" {
		via = " by " + a.Provider
	}
	switch a.Kind {
	case AlertConversionLow:
		return fmt.Sprintf("of %d codes sent to %s…%s, %d were typed in", a.Sent, a.Prefix, via, a.Verified)
	case AlertConversionStopped:
		return fmt.Sprintf("of %d codes sent to %s…%s, %d were typed in: no more until %s", a.Sent, a.Prefix, via, a.Verified, a.Until.UTC().Format(time.RFC3339))
	case AlertBudgetLow:
		return fmt.Sprintf("%v of the SMS budget of %v per %v are spent", a.Spent, a.Max, a.Window)
	case AlertBudgetSpent:
		return fmt.Sprintf("the SMS budget of %v per %v is spent", a.Max, a.Window)
	default:
		return string(a.Kind)
	}
}
