package challengepages

import "time"

// Enrolment is one factor of the player, on the settings page.
type Enrolment struct {
	// ID is sent back as FieldEnrolment.
	ID string
	// Factor is "totp" or "sms".
	Factor string
	// Name is what the player calls an authenticator; it may be empty.
	Name string
	// Phone is the masked number, for "sms".
	Phone string
	Since time.Time
	// Used is when it last answered; zero if never.
	Used time.Time
	// Disabled tells that the factor was disabled after too many failures.
	Disabled bool
	// Removable tells that it can be removed and another one is left.
	Removable bool
}

// Client is where somebody was, in words that a player understands.
type Client struct {
	// Browser and System are proper names, "Chrome" and "Android"; each may be empty.
	Browser, System string
	// Address is the client's address, or empty.
	Address string
}

// Device is a browser that the player trusts.
type Device struct {
	// ID is sent back as FieldDevice.
	ID     string
	Client Client
	Since  time.Time
	Until  time.Time
	// Here tells that it is the browser that the page is shown in.
	Here bool
}

// ActivityKind says what happened to the player's security.
type ActivityKind string

// The kinds of activity, and of what players are told of on other channels.
const (
	ActivityTOTPAdded     ActivityKind = "totp_added"
	ActivityTOTPRemoved   ActivityKind = "totp_removed"
	ActivitySMSAdded      ActivityKind = "sms_added"
	ActivitySMSChanged    ActivityKind = "sms_changed" // another number
	ActivitySwitchedTOTP  ActivityKind = "to_totp"     // from SMS to an authenticator
	ActivitySwitchedSMS   ActivityKind = "to_sms"      // from an authenticator to SMS
	ActivityOff           ActivityKind = "off"         // two-step verification switched off
	ActivityKeyMade       ActivityKind = "key_made"    // a new recovery key
	ActivityKeyUsed       ActivityKind = "key_used"    // the recovery key was used
	ActivityDeviceTrusted ActivityKind = "trusted"     // a browser is trusted from now on
	ActivityDeviceForgot  ActivityKind = "forgotten"   // a trusted browser was removed
	ActivityFailures      ActivityKind = "failures"    // many wrong codes
	ActivityDisabled      ActivityKind = "disabled"    // a factor was disabled after too many wrong codes
	ActivityUnlocked      ActivityKind = "unlocked"    // codes are accepted again
	ActivityFrozen        ActivityKind = "frozen"      // by the link of a notice
	ActivityLifted        ActivityKind = "lifted"      // the freeze ended
	ActivitySupport       ActivityKind = "support"     // a support agent changed something
	ActivityNotMe         ActivityKind = "not_me"      // a request was reported as not the player's
	ActivityPassed        ActivityKind = "passed"      // a request was confirmed
)

// Activities are all kinds.
var Activities = []ActivityKind{
	ActivityTOTPAdded, ActivityTOTPRemoved, ActivitySMSAdded, ActivitySMSChanged, ActivitySwitchedTOTP,
	ActivitySwitchedSMS, ActivityOff, ActivityKeyMade, ActivityKeyUsed, ActivityDeviceTrusted, ActivityDeviceForgot,
	ActivityFailures, ActivityDisabled, ActivityUnlocked, ActivityFrozen, ActivityLifted, ActivitySupport, ActivityNotMe, ActivityPassed,
}

// Activity is one line of the player's last security activity.
type Activity struct {
	Kind   ActivityKind
	At     time.Time
	Client Client
	// Here tells that it was done in the browser that the page is shown in.
	Here bool
}

// Notice is a sentence at the head of the settings page about what just
// happened.
type Notice string

// The notices.
const (
	NoticeNone          Notice = ""
	NoticeTOTPBound     Notice = "totp_bound"
	NoticeSMSBound      Notice = "sms_bound"
	NoticeSwitchedOff   Notice = "switched_off"
	NoticeSetupExpired  Notice = "setup_expired"
	NoticeSetupLost     Notice = "setup_lost" // another set-up took its place, or too many wrong codes
	NoticeRecoverySaved Notice = "recovery_saved"
	NoticeRemoved       Notice = "removed"   // an authenticator was removed
	NoticeForgotten     Notice = "forgotten" // a browser is not trusted any more
	NoticeUnlocked      Notice = "unlocked"  // codes are accepted again
	NoticeLifted        Notice = "lifted"    // the freeze has ended
	NoticeRecovered     Notice = "recovered" // the recovery key was used: enrol a new phone
)

// Settings is the player's security page: the state first, then what can be
// done.
type Settings struct {
	// Base is the path of the settings actions, without trailing slash; forms post
	// to Base + "/totp" (FieldName), "/sms" (FieldPhone), "/remove" (FieldEnrolment),
	// "/off", "/recovery-key", "/forget" (FieldDevice), "/unlock" and "/lift".
	Base string
	// Enrolments are SMS or authenticators, never both.
	Enrolments []Enrolment
	// Full tells that there is no room for another authenticator.
	Full bool
	// RecoveryKey tells whether an unused recovery key exists; RecoveryKeySaved
	// whether the player has said that it is kept.
	RecoveryKey      bool
	RecoveryKeySaved bool
	RecoveryKeySince time.Time
	// Recovered is when the recovery key was used, if no factor was bound since: a
	// new phone should be set up. Zero otherwise.
	Recovered time.Time
	// RegisteredPhone is the masked number that the site knows for the player, or
	// empty. The form of Base + "/sms" may then be sent with an empty phone to use
	// that number.
	RegisteredPhone string
	// HeldUntil is the end of the cooling-off time, HeldFor its cause as in Outcome;
	// zero for none.
	HeldUntil time.Time
	HeldFor   string
	// Frozen is when the account was frozen by the link of a notice; zero if it is
	// not. Liftable tells that a factor from before can lift it; otherwise support
	// has to.
	Frozen   time.Time
	Liftable bool
	Devices  []Device
	// NewDevices tells that a code is asked for on browsers that are none of Devices.
	NewDevices bool
	// Activities are the last ones, the newest first.
	Activities []Activity
	Notice     Notice
	// NoSMS tells that SMS cannot be chosen as a factor here.
	NoSMS bool
	// Problem is set when the number that was typed is not one.
	Problem Problem
	// Typed is the number that was typed, to go with Problem.
	Typed string
	// Back is the site's page to go back to, "/" at least.
	Back string
	// Help is the path of the page for players who can use none of their factors.
	Help string
}

func (Settings) templateName() string { return "settings" }
