package challengepages

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// sample is a page as it could be.
type sample struct {
	name string
	page Page
}

// sampleTime is when the samples are shown.
var sampleTime = time.Date(2026, 1, 3, 7, 0, 0, 0, time.UTC)

const samplePhone = "+62 ••• •••• 7890"

var (
	sampleProblems = []Problem{ProblemNone, ProblemWrongCode, ProblemUsedCode, ProblemEmptyCode, ProblemCodeExpired, ProblemNotSent,
		ProblemUndelivered, ProblemSendLater, ProblemTryLater}
	sampleFactors = []string{"totp", "sms", "recovery_key"}
)

// samples are pages that between them take every way through the templates and ask
// for every message, so that what renders them renders all that players meet.
func samples() []sample {
	return slices.Concat(challengeSamples(), outcomeSamples(), settingsSamples(), setupSamples(), keySamples(), noticeSamples())
}

func challengeSamples() []sample {
	held := Challenge{
		ID: "id", Action: "/wallet/withdraw", Rule: "withdrawal", Held: true, Sent: true, Phone: samplePhone,
		Details: []Detail{{"amount", "999999999999999.99"}, {"account", "1234567890"}, {"note", ""}}, AttemptsLeft: 4,
		ResendAt: sampleTime.Add(time.Minute), RetryAt: sampleTime.Add(time.Minute), Expires: sampleTime.Add(10 * time.Minute), Now: sampleTime,
	}
	open := held
	open.Rule, open.Held, open.Details, open.Now, open.AttemptsLeft = "", false, nil, time.Time{}, 1
	open.ResendAt, open.RetryAt = time.Time{}, time.Time{}
	var all []sample
	for _, factor := range sampleFactors {
		for _, problem := range sampleProblems {
			for _, c := range []Challenge{held, open} {
				form := "open"
				if c.Held {
					form = "held"
				}
				c.Factor, c.Problem = factor, problem
				c.Others = slices.DeleteFunc(slices.Clone(sampleFactors), func(f string) bool { return f == factor })
				all = append(all, sample{join("challenge", form, factor, string(problem)), c})
				if factor == "sms" {
					all = append(all, smsSamples(form, c)...)
				}
			}
		}
	}
	plain := held
	plain.Factor, plain.Details, plain.ResendAt, plain.Trust, plain.Help = "sms", nil, sampleTime, 30*24*time.Hour, "/help"
	named := plain
	named.Named, named.Phone, named.Trust = true, "", 0
	unsent := named
	unsent.Sent, unsent.ResendAt = false, time.Time{}
	return append(all, sample{"challenge held without details", plain},
		sample{"challenge for a name", named}, sample{"challenge for a name unsent", unsent})
}

// smsSamples are a challenge by SMS where nothing was sent, where the player has no
// other way, and where the time to wait is over.
func smsSamples(form string, c Challenge) []sample {
	name := join("challenge", form, "sms", string(c.Problem))
	unsent, only, ready := c, c, c
	unsent.Sent, only.Others = false, nil
	if !c.ResendAt.IsZero() {
		ready.Now = c.ResendAt
	}
	unsentOnly, readyOnly := unsent, ready
	unsentOnly.Others, readyOnly.Others = nil, nil
	return []sample{
		{name + " unsent", unsent}, {name + " without another way", only}, {name + " after the wait", ready},
		{name + " unsent without another way", unsentOnly}, {name + " after the wait without another way", readyOnly},
	}
}

func outcomeSamples() []sample {
	var all []sample
	for _, kind := range slices.Sorted(maps.Keys(outcomeForms)) {
		name := join("outcome", string(kind))
		all = append(all,
			sample{name, Outcome{Kind: kind}},
			sample{name + " with time", Outcome{Kind: kind, Link: "/", RetryAt: sampleTime}},
			sample{name + " again", Outcome{Kind: kind, Link: "/", Again: []Field{{"amount", "1"}}}})
	}
	for _, cause := range []string{"factor_change", "first_enrolment", "recovery", "support"} {
		all = append(all, sample{join("outcome on hold after", cause), Outcome{Kind: OutcomeOnHold, RetryAt: sampleTime, Cause: cause}})
	}
	return all
}

func setupSamples() []sample {
	shownAt := sampleTime.Add(-time.Minute)
	var all []sample
	for _, problem := range sampleProblems {
		all = append(all,
			sample{join("totp set-up", string(problem)), TOTPSetup{
				Base: "/.stepgate/settings", SetupID: "id", QRPNG: []byte("png"), Key: "ABCDEFGH", URI: "otpauth://totp/x",
				AttemptsLeft: 4, Problem: problem, Expires: sampleTime, Back: "/",
			}},
		)
		// No more SMS, another one at once, another one later.
		for wait, resendAt := range map[string]time.Time{"": {}, "after the wait": shownAt, "before the wait": sampleTime} {
			all = append(all, sample{join("sms set-up", string(problem), wait), SMSSetup{
				Base: "/.stepgate/settings", SetupID: "id", Phone: samplePhone, Sent: problem != ProblemNotSent, ResendAt: resendAt,
				AttemptsLeft: 4, Problem: problem, Expires: sampleTime, Now: shownAt, Back: "/",
			}})
		}
	}
	for _, factor := range []string{"totp", "sms"} {
		all = append(all,
			sample{join("totp set-up instead of", factor), TOTPSetup{
				Base: "/.stepgate/settings", SetupID: "id", URI: "otpauth://totp/x", Name: "HP", Replaces: factor, Back: "/",
			}},
			sample{join("sms set-up instead of", factor), SMSSetup{
				Base: "/.stepgate/settings", SetupID: "id", Replaces: factor, ResendAt: sampleTime, Now: sampleTime.Add(-time.Minute), Back: "/",
			}})
	}
	return all
}

func keySamples() []sample {
	return []sample{
		{"recovery key", RecoveryKey{Key: "ABCD-EFGH", Action: "/", Now: sampleTime}},
		{"recovery key after use", RecoveryKey{
			Key: "ABCD-EFGH", Used: true, Held: true, Action: "/", Settings: "/security", Hidden: []Hidden{{FieldChallenge, "id"}},
		}},
		{"help", Help{Back: "/"}},
	}
}

// noticeSamples are the pages to which the links of notices lead.
func noticeSamples() []sample {
	var all []sample
	for _, kind := range toldActivities() {
		all = append(all, sample{join("freeze after", string(kind)), Freeze{Action: "/.stepgate/n/x", Kind: kind, At: sampleTime}})
	}
	return all
}

// toldActivities are those of which players are told on other channels.
func toldActivities() []ActivityKind {
	return slices.DeleteFunc(slices.Clone(Activities), func(k ActivityKind) bool { return k == ActivityPassed || k == ActivityNotMe })
}

// join makes the name of a sample of words, of which some may be empty.
func join(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}
