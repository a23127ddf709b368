package account

import (
	"slices"
	"time"

	"github.com/stepgate/stepgate/sms"
)

// Kind says what happened to a player's security, for their own eyes. The audit log
// has names of its own.
type Kind string

// The kinds.
const (
	KindTOTPAdded     Kind = "totp_added"
	KindTOTPRemoved   Kind = "totp_removed"
	KindSMSAdded      Kind = "sms_added"
	KindSMSChanged    Kind = "sms_changed" // another number
	KindSwitchedTOTP  Kind = "to_totp"     // from SMS to an authenticator
	KindSwitchedSMS   Kind = "to_sms"      // from authenticators to SMS
	KindOff           Kind = "off"
	KindKeyMade       Kind = "key_made"
	KindKeyUsed       Kind = "key_used"
	KindDeviceTrusted Kind = "trusted"
	KindDeviceForgot  Kind = "forgotten"
	KindFailures      Kind = "failures" // many wrong answers
	KindDisabled      Kind = "disabled" // a factor was disabled after too many
	KindUnlocked      Kind = "unlocked" // what was disabled answers again
	KindFrozen        Kind = "frozen"
	KindLifted        Kind = "lifted"
	KindSupport       Kind = "support" // a support agent changed something
	KindNotMe         Kind = "not_me"  // a request was reported as not the player's
	KindPassed        Kind = "passed"
)

// Kinds are all of them.
var Kinds = []Kind{
	KindTOTPAdded, KindTOTPRemoved, KindSMSAdded, KindSMSChanged, KindSwitchedTOTP, KindSwitchedSMS, KindOff, KindKeyMade,
	KindKeyUsed, KindDeviceTrusted, KindDeviceForgot, KindFailures, KindDisabled, KindUnlocked, KindFrozen, KindLifted,
	KindSupport, KindNotMe, KindPassed,
}

// failing reports whether anybody who has the session can cause it.
func (k Kind) failing() bool { return k == KindFailures || k == KindDisabled }

// Activity is one thing that happened.
type Activity struct {
	Kind   Kind      `json:"kind"`
	At     time.Time `json:"at"`
	Client Client    `json:"client"`
	// Browser is the keyed hash of the browser's secret.
	Browser string `json:"browser,omitempty"`
}

const (
	// maxActivities is how many are kept, maxOfAKind how many of one kind: nobody can
	// push a change of a factor out of sight by failing often.
	maxActivities = 30
	maxOfAKind    = 5
)

// note adds an activity.
func (a *Account) note(kind Kind, c Client, browser string, now time.Time) {
	of := 0
	for i := len(a.Activities) - 1; i >= 0; i-- {
		if a.Activities[i].Kind != kind {
			continue
		}
		if of++; of >= maxOfAKind {
			a.Activities = slices.Delete(a.Activities, i, i+1)
		}
	}
	a.Activities = append(a.Activities, Activity{Kind: kind, At: now, Client: c, Browser: browser})
	if over := len(a.Activities) - maxActivities; over > 0 {
		a.Activities = slices.Delete(a.Activities, 0, over)
	}
}

// Alert is what the player is to be told on channels other than the one that was
// used (NIST SP 800-63B-4 section 4.6). Whoever sends it adds the channels that the
// site knows.
type Alert struct {
	Kind Kind
	At   time.Time
	// Token is the secret of the one-time link that freezes the account.
	Token string
	// Phones are those that belonged to the account before, without those which a
	// freeze is about.
	Phones []sms.Number
	// Except is the phone that was bound by what the alert tells of, or empty: its
	// holder knows.
	Except sms.Number
}

// alert prepares what the player is to be told of, and keeps what its link needs.
// root is when that began on which what the alert tells of rests.
func (a *Account) alert(id ID, kind Kind, d drawn, root time.Time) Alert {
	out := Alert{Kind: kind, At: d.at, Token: d.token(id)}
	for _, e := range a.Enrolments {
		if e.Phone != "" && a.counts(e.Since) {
			out.Phones = append(out.Phones, e.Phone)
		}
	}
	// Whoever fails often ends no link but those of failures.
	like := func(n Notice) bool { return n.Kind.failing() == kind.failing() }
	most := maxNotices
	if kind.failing() {
		most = maxFailureNotices
	}
	if same := slices.DeleteFunc(slices.Clone(a.Notices), func(n Notice) bool { return !like(n) }); len(same) >= most {
		i := slices.IndexFunc(a.Notices, like)
		a.Notices = slices.Delete(a.Notices, i, i+1)
	}
	a.Notices = append(a.Notices, Notice{Nonce: d.nonce, Kind: kind, At: d.at, Root: earlier(d.at, root)})
	return out
}
