package challengepages

import "time"

// Page is the view model of one page. The implementations in this package are
// all there are.
type Page interface {
	// templateName names the template in templates/ that shows it.
	templateName() string
}

// Detail is one significant detail of the request at hand, shown in bold above
// the code field exactly as it will be sent (OWASP Transaction Authorization
// 1.1).
type Detail struct {
	// Label is the detail's name from the rule: "amount", "to". Well-known labels
	// are translated.
	Label string
	// Value is what the request says, unformatted.
	Value string
}

// Hidden carries what a form must send back so that the gate finds its
// challenge again.
type Hidden struct {
	Name, Value string
}

// Names of the form fields and values that the pages send to the gate. Marker
// stands first in each form that goes back to a URL of the site, so that the
// gate knows its own form from the first bytes of the body.
const (
	FieldChallenge = "stepgate_challenge" // the challenge's id; the marker
	FieldAction    = "stepgate_action"    // one of the Action… values
	FieldFactor    = "stepgate_factor"    // "totp", "sms" or "recovery_key"
	FieldCode      = "stepgate_code"      // what the player typed
	FieldLanguage  = "stepgate_language"  // the tag of a language
	FieldPhone     = "stepgate_phone"     // a phone number, on the settings page
	FieldSetup     = "stepgate_setup"     // the id of the set-up under way
	FieldName      = "stepgate_name"      // what the player calls an authenticator
	FieldEnrolment = "stepgate_enrolment" // the id of an enrolment, to be removed
	FieldDevice    = "stepgate_device"    // the id of a trusted browser, to be forgotten
	FieldTrust     = "stepgate_trust"     // "1": trust this browser from now on

	ActionAnswer   = "answer"   // check FieldCode against FieldFactor
	ActionSend     = "send"     // send or resend the SMS code
	ActionUse      = "use"      // show the page for another factor, FieldFactor
	ActionCancel   = "cancel"   // drop the challenge and what it holds
	ActionNotMe    = "not_me"   // the same, and report it
	ActionLanguage = "language" // show the page in FieldLanguage
	ActionContinue = "continue" // go on after the new recovery key was shown
)

// Problem says what was wrong with the player's last answer. The zero value
// means that there was none.
type Problem string

// The problems that a page can show next to its field.
const (
	ProblemNone        Problem = ""
	ProblemWrongCode   Problem = "wrong_code"   // with AttemptsLeft
	ProblemUsedCode    Problem = "used_code"    // right, but used before: wait for the next
	ProblemEmptyCode   Problem = "empty_code"   // nothing was typed
	ProblemCodeExpired Problem = "code_expired" // the SMS code is too old: send a new one
	ProblemNotSent     Problem = "not_sent"     // no SMS can be sent, whatever keeps it: a limit, a budget, dead providers
	ProblemUndelivered Problem = "undelivered"  // the network reported that the SMS failed: offer the next at once
	ProblemSendLater   Problem = "send_later"   // asked for another SMS too soon, or too often
	ProblemTryLater    Problem = "try_later"    // too many wrong codes: back-off, with RetryAt
	ProblemPhone       Problem = "phone"        // not a phone number that can get an SMS here
)

// Challenge is the page that interrupts a request.
type Challenge struct {
	// ID is the challenge's id, sent back as FieldChallenge.
	ID string
	// Action is the URL to which the page's forms post: the URL at which the page
	// is shown, path and query.
	Action string
	// Rule is the name of the rule; well-known names have a sentence of their own:
	// "withdrawal", "contact", "email", "phone", "payment_method", "settings_totp",
	// "settings_sms", "settings_off", "settings_recovery_key".
	Rule string
	// Details of the held request, in the rule's order.
	Details []Detail
	// Factor is the one the page asks for now: "totp", "sms" or "recovery_key".
	Factor string
	// Others are the other factors that the player may use instead, possibly none.
	Others []string
	// Phone is the masked number that SMS codes go to, "+62 ••• •••• 7890".
	Phone string
	// Sent tells whether an SMS code has been handed to a provider.
	Sent bool
	// ResendAt is the time from which another SMS may be asked for; zero where no
	// more can be, or where none was asked for yet. It must not depend on why an SMS
	// was not sent: a limit, a budget, a stopped prefix and dead providers look the
	// same (I11).
	ResendAt time.Time
	// Named tells that nobody is logged in, and that the account was only named: there may
	// be none. The texts then say nothing of a phone, and Phone is empty.
	Named bool
	// AttemptsLeft counts the answers that may still be wrong, from 5.
	AttemptsLeft int
	// Problem is what was wrong with the last answer.
	Problem Problem
	// RetryAt goes with ProblemTryLater.
	RetryAt time.Time
	// Expires is when the challenge ends.
	Expires time.Time
	// Now is the time of rendering. Countdowns run from it, because a phone's own
	// clock may be wrong; zero leaves them out, and only times of day are shown.
	Now time.Time
	// Held tells whether a form is held that is sent on after the right code;
	// otherwise the player is led back to the page they asked for.
	Held bool
	// Trust offers to trust this browser for so long: a box, not ticked, of the name
	// FieldTrust. Zero offers nothing; days count whole.
	Trust time.Duration
	// Help is the path of the page for players who can use none of their factors.
	Help string
}

func (Challenge) templateName() string { return "challenge" }

// OutcomeKind says how something ended.
type OutcomeKind string

// The outcomes that have a page.
const (
	OutcomeExpired         OutcomeKind = "expired"          // the challenge's time is over; nothing was sent
	OutcomeUsedUp          OutcomeKind = "used_up"          // five wrong codes; nothing was sent
	OutcomeCancelled       OutcomeKind = "cancelled"        // the player dropped it; nothing was sent
	OutcomeReported        OutcomeKind = "reported"         // "this wasn't me": dropped; advice to change the password
	OutcomeReplaced        OutcomeKind = "replaced"         // another request took its place; nothing of this one was sent
	OutcomeAlreadyDone     OutcomeKind = "already_done"     // confirmed before; it was passed on once and will not be again
	OutcomeConfirmed       OutcomeKind = "confirmed"        // passed; nothing to return to: go back to the app or repeat the form
	OutcomeTryLater        OutcomeKind = "try_later"        // too many wrong codes on the account, RetryAt says when
	OutcomeCannotHold      OutcomeKind = "cannot_hold"      // too large or of a kind that cannot be kept; nothing was sent
	OutcomeAmbiguous       OutcomeKind = "ambiguous"        // the request can be read in two ways; nothing was sent
	OutcomeCrossSite       OutcomeKind = "cross_site"       // the form came from another site; nothing was sent
	OutcomeLogin           OutcomeKind = "login"            // nobody is logged in
	OutcomeEnrol           OutcomeKind = "enrol"            // no second factor yet: Link leads to where one is set up
	OutcomeNoFactor        OutcomeKind = "no_factor"        // the player's factors are not among those accepted here
	OutcomeFactorsDisabled OutcomeKind = "factors_disabled" // disabled after 100 failures: support
	OutcomeOnHold          OutcomeKind = "on_hold"          // a cooling-off time runs until RetryAt
	OutcomeFrozen          OutcomeKind = "frozen"           // frozen by the link of a notice: Link leads to the security page
	OutcomeFreezeDone      OutcomeKind = "freeze_done"      // the link of a notice has just frozen the account
	OutcomeLinkOver        OutcomeKind = "link_over"        // the link of a notice is used, too old, or none
	OutcomeLoginFirst      OutcomeKind = "login_first"      // a first factor needs a fresh login: Link is the login page
	OutcomeSupportFirst    OutcomeKind = "support_first"    // a first factor needs support: Link leads to the help page
	OutcomeTooMany         OutcomeKind = "too_many"         // five authenticators are there: remove one first
	OutcomeForeign         OutcomeKind = "foreign"          // opened in another browser or session
	OutcomeSiteDown        OutcomeKind = "site_down"        // the site could not be asked; nothing was sent
	OutcomeStoreDown       OutcomeKind = "store_down"       // Stepgate's own store cannot be reached; nothing was sent
	OutcomeNotFound        OutcomeKind = "not_found"        // no such page under Stepgate's prefix
	OutcomeInvalidForm     OutcomeKind = "invalid_form"     // a form of ours came back in a shape that it cannot have
)

// Outcome is a page that says in one sentence what happened, and what to do.
type Outcome struct {
	Kind OutcomeKind
	// RetryAt goes with OutcomeTryLater and OutcomeOnHold.
	RetryAt time.Time
	// Cause goes with OutcomeOnHold: what changed, "factor_change",
	// "first_enrolment", "recovery" or "support".
	Cause string
	// Link is where the page's one button leads, a path of the site; empty for
	// none. What the button says follows from Kind.
	Link string
	// Again are the fields of the form that was interrupted, in its order. If there
	// are any the button sends them to Link once more, so that what the player
	// entered is not lost.
	Again []Field
}

// Field is one field of a form of the site.
type Field struct{ Name, Value string }

func (Outcome) templateName() string { return "outcome" }

// TOTPSetup shows a new authenticator secret once, as a QR code and as a key to
// type, and asks for the first code.
type TOTPSetup struct {
	// Base as in Settings; the form posts to Base + "/totp/confirm", cancel leads
	// to Back.
	Base string
	// SetupID is sent back as FieldSetup.
	SetupID string
	// QRPNG is the picture of the otpauth URI, shown by a data: URL.
	QRPNG []byte
	// Key is the secret in base32; the page shows it in groups of four.
	Key string
	// URI is the otpauth URI, a link that opens the authenticator on the phone at
	// hand.
	URI string
	// Name is what the player calls the authenticator, sent back as FieldName; empty
	// until they name it.
	Name string
	// Replaces says what confirming takes the place of: "" for nothing, "sms" for the
	// SMS codes, "totp" for authenticators that are lost.
	Replaces     string
	AttemptsLeft int
	Problem      Problem
	Expires      time.Time
	// Now as in Challenge.
	Now  time.Time
	Back string
}

func (TOTPSetup) templateName() string { return "totp_setup" }

// SMSSetup asks for the code that was sent to a new number. The form posts to
// Base + "/sms/confirm", and that for another SMS to Base + "/sms/send", both with
// FieldSetup.
type SMSSetup struct {
	Base    string
	SetupID string
	// Phone is the masked number.
	Phone string
	Sent  bool
	// ResendAt as in Challenge.
	ResendAt time.Time
	// Replaces as in TOTPSetup; "sms" for another number.
	Replaces     string
	AttemptsLeft int
	Problem      Problem
	Expires      time.Time
	// Now as in Challenge.
	Now  time.Time
	Back string
}

func (SMSSetup) templateName() string { return "sms_setup" }

// RecoveryKey shows a recovery key, the only time that it is shown. Its form says
// that the player has saved it.
type RecoveryKey struct {
	// Key in groups of four, "ABCD-EFGH-…".
	Key string
	// Used tells that the player has just used the old key, which this one
	// replaces; the page then advises to set up a new phone.
	Used bool
	// Held tells, with Used, that a request is sent on once the form is sent.
	Held bool
	// Action is where the form posts to, with the Hidden fields.
	Action string
	Hidden []Hidden
	// Settings is the path of the security page.
	Settings string
	Now      time.Time
}

func (RecoveryKey) templateName() string { return "recovery_key" }

// Help is the page for players who can use none of their factors: what to try, and
// what support will ask for. It says nothing about an account.
type Help struct {
	// Back is the site's page to go back to.
	Back string
}

func (Help) templateName() string { return "help" }

// Freeze is where the link of a notice leads: it asks whether to freeze the
// account. The form posts back to Action.
type Freeze struct {
	Action string
	// Kind is what the notice told of, At when that was.
	Kind ActivityKind
	At   time.Time
}

func (Freeze) templateName() string { return "freeze" }

// NoticeText is what an SMS that tells a player of a change is made from.
type NoticeText struct {
	Kind ActivityKind
	// Link leads to the page that freezes the account, whole, up to 120 characters.
	Link string
}
