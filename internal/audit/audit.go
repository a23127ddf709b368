// Package audit is the vocabulary of what Stepgate reports: each thing that can
// happen to a request, a challenge or an enrolment has one name here, which the
// audit log, the metrics and the access log share.
//
// An event never carries a code, a seed, a key, a token, a full phone number or
// a part of a held request (invariant I8). Subjects appear as keyed hashes.
package audit

import (
	"encoding/json"
	"strings"
	"time"
)

// Name says what happened. The names are stable: operators filter by them.
type Name string

// What can happen to a request at a protected route.
const (
	RequestGranted     Name = "request.granted"     // a fitting grant let it through
	RequestVouched     Name = "request.vouched"     // the issuer of the player's token vouches for a factor of its own
	RequestReleased    Name = "request.released"    // an approval let it through, once
	RequestUnenrolled  Name = "request.unenrolled"  // let through because the rule says so for players without a factor
	RequestChallenged  Name = "request.challenged"  // met a challenge, new or pending
	RequestAnonymous   Name = "request.anonymous"   // nobody is logged in
	RequestCrossSite   Name = "request.cross_site"  // came from another site
	RequestAmbiguous   Name = "request.ambiguous"   // can be read in two ways
	RequestLimited     Name = "request.limited"     // too many of its kind for one name, or from one address
	RequestUnholdable  Name = "request.unholdable"  // can be neither held nor shown a page
	RequestNoFactor    Name = "request.no_factor"   // the player has no factor that the rule accepts
	RequestOnHold      Name = "request.on_hold"     // a cooling-off time runs
	RequestFrozen      Name = "request.frozen"      // the player has frozen the account
	RequestSwapped     Name = "request.swapped"     // its session changed hands while the body was on its way; it was cut off
	RequestUnavailable Name = "request.unavailable" // the store, the site or the provider of a code could not be asked
)

// ByIssuer is the factor of RequestVouched.
const ByIssuer = "issuer"

// What can happen to a challenge.
const (
	ChallengeOpened    Name = "challenge.opened"
	ChallengeSent      Name = "challenge.code_sent"
	ChallengeSendError Name = "challenge.code_not_sent"
	ChallengeWrong     Name = "challenge.wrong_code"
	ChallengeTryLater  Name = "challenge.try_later"
	ChallengePassed    Name = "challenge.passed"
	ChallengeReleased  Name = "challenge.released"
	ChallengeCancelled Name = "challenge.cancelled"
	ChallengeReported  Name = "challenge.reported" // cancelled: "this wasn't me"
	ChallengeReplaced  Name = "challenge.replaced"
	ChallengeUsedUp    Name = "challenge.used_up"
	ChallengeTampered  Name = "challenge.tampered"
	ChallengeForeign   Name = "challenge.foreign" // touched from another session or browser
)

// What can happen to an account.
const (
	EnrolmentBegun       Name = "enrolment.begun"
	EnrolmentBound       Name = "enrolment.bound"
	EnrolmentRemoved     Name = "enrolment.removed"
	EnrolmentDisabled    Name = "enrolment.disabled"
	EnrolmentUnlocked    Name = "enrolment.unlocked"
	RecoveryKeyIssued    Name = "recovery_key.issued"
	RecoveryKeyUsed      Name = "recovery_key.used"
	AccountHeld          Name = "account.held"
	AccountFrozen        Name = "account.frozen"
	AccountLifted        Name = "account.lifted"
	AccountSupported     Name = "account.supported"    // a support agent did what the reason says
	AccountNotified      Name = "account.notified"     // told of a change on another channel
	AccountNotNotified   Name = "account.not_notified" // and that failed, or there is none
	DeviceTrusted        Name = "device.trusted"
	DeviceForgotten      Name = "device.forgotten"
	AccountSwitchedOff   Name = "account.switched_off"
	SessionEnded         Name = "account.session_ended" // its grants ended, by a logout or another login in it
	AliasesImported      Name = "aliases.imported"      // the operator has said under which names players are known
	AccountGrantsRevoked Name = "account.grants_revoked"
)

// What can happen to an SMS.
const (
	SMSAccepted Name = "sms.accepted" // a provider took it; that says nothing of delivery
	SMSFailed   Name = "sms.failed"   // a provider did not take it, or nobody knows; the reason is the class
	SMSLimited  Name = "sms.limited"  // the guard refused it; the reason is the limit
	SMSAlert    Name = "sms.alert"    // the guard has something to say to the operator
	SMSReported Name = "sms.reported" // a provider says what became of it; the reason is the state
	SMSForged   Name = "sms.forged"   // a callback that does not prove itself
	SMSProvider Name = "sms.provider" // a provider is left out, or back; the reason says which
)

// Reported is the name under which a rule in report mode tells that the thing of
// the given name would have happened: "reported.challenged".
func Reported(name Name) Name {
	_, what, _ := strings.Cut(string(name), ".")
	return Name("reported." + what)
}

// Event is one report.
type Event struct {
	Name Name      `json:"event"`
	At   time.Time `json:"at"`
	// Subject is the keyed hash under which the account is stored; empty where
	// nobody is logged in.
	Subject string `json:"subject,omitempty"`
	// Challenge is the challenge's id.
	Challenge string `json:"challenge,omitempty"`
	// Rule names the rule, or the rules joined by "+".
	Rule string `json:"rule,omitempty"`
	// Factor names the factor concerned.
	Factor string `json:"factor,omitempty"`
	// Reason says why, in one of a fixed set of words.
	Reason string `json:"reason,omitempty"`
	// Provider is the operator's name for the SMS provider concerned.
	Provider string `json:"provider,omitempty"`
	// Note is a sentence for the operator, where the reason says too little. It is
	// Stepgate's own, and goes into no metric.
	Note string `json:"note,omitempty"`
}

// OfSMS reports whether the event is about a message, and not about a request or account.
func (e Event) OfSMS() bool {
	return strings.HasPrefix(string(e.Name), "sms.") || e.Name == Reported(SMSLimited)
}

// Encode returns the event as one line of JSON, the form in which the audit log
// keeps it.
func (e Event) Encode() []byte {
	e.At = e.At.UTC()
	b, err := json.Marshal(e)
	if err != nil {
		panic("audit: an event of plain strings cannot fail to encode: " + err.Error())
	}
	return b
}
