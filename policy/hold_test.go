package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func holding(holds []Hold, factors ...Factor) Rule {
	return Rule{Name: "r", Paths: []string{"/a"}, Factors: factors, Holds: holds}
}

func TestHoldsThatCannotBeMeantAreRefused(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name string
		rule Rule
		want string
	}{
		{"no time", holding([]Hold{{0, []Cause{CauseSupport}}}), "hold 0s: write 1s to 2160h"},
		{"a negative time", holding([]Hold{{-day, []Cause{CauseSupport}}}), "write 1s to 2160h"},
		{"less than a second", holding([]Hold{{time.Second - 1, []Cause{CauseSupport}}}), "write 1s to 2160h"},
		{"more than the longest", holding([]Hold{{MaxHold + 1, []Cause{CauseSupport}}}), "write 1s to 2160h"},
		{"no cause", holding([]Hold{{day, nil}}), "says not what it follows: write what, such as hold 24h0m0s after factor_change"},
		{"an unknown cause", holding([]Hold{{day, []Cause{CauseSupport, "login"}}}), `hold after "login" is not known: write factor_change, first_enrolment, recovery or support`},
		{"the second is wrong", holding([]Hold{{day, []Cause{CauseSupport}}, {day, nil}}), "says not what it follows"},
		{"a recovery key that opens what its use closes", holding([]Hold{{day, []Cause{CauseRecovery}}}, TOTP, RecoveryKey), "take recovery_key out of its factors"},
		{"the same in the second hold", holding([]Hold{{day, []Cause{CauseSupport}}, {day, []Cause{CauseFactorChange, CauseRecovery}}}, RecoveryKey, SMS), "take recovery_key out of its factors"},
	} {
		if _, err := Compile([]Rule{c.rule}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Compile = %v, want an error with %q", c.name, err, c.want)
		}
	}
}

// What a recovery key closes it does not open: otherwise whoever stole it would only
// have to use it twice.
func TestARuleThatHoldsAfterRecoveryAcceptsNoRecoveryKey(t *testing.T) {
	for _, c := range []struct {
		name string
		rule Rule
		want []Factor
	}{
		{"after recovery", holding([]Hold{{MaxHold, []Cause{CauseFactorChange, CauseRecovery}}}), []Factor{TOTP, SMS}},
		{"after recovery, in the second hold", holding([]Hold{{time.Second, []Cause{CauseSupport}}, {time.Hour, []Cause{CauseRecovery}}}), []Factor{TOTP, SMS}},
		{"after recovery, its own factors", holding([]Hold{{time.Hour, []Cause{CauseRecovery}}}, SMS), []Factor{SMS}},
		{"after anything else", holding([]Hold{{time.Hour, []Cause{CauseFactorChange, CauseFirstEnrolment, CauseSupport}}}), []Factor{TOTP, SMS, RecoveryKey}},
		{"no hold", holding(nil), []Factor{TOTP, SMS, RecoveryKey}},
	} {
		got := mustCompile(t, c.rule).Rules()[0]
		if diff := cmp.Diff(c.want, got.Factors); diff != "" {
			t.Errorf("%s: factors (-want +got):\n%s", c.name, diff)
		}
	}
	if diff := cmp.Diff([]Factor{TOTP, SMS, RecoveryKey}, DefaultFactors); diff != "" {
		t.Errorf("DefaultFactors after compiling (-want +got):\n%s", diff)
	}
}

func TestAfterLooksIntoEveryHold(t *testing.T) {
	holds := []Hold{{time.Hour, []Cause{CauseFactorChange}}, {time.Minute, []Cause{CauseSupport, CauseRecovery}}}
	for cause, want := range map[Cause]bool{CauseFactorChange: true, CauseSupport: true, CauseRecovery: true, CauseFirstEnrolment: false, "": false} {
		if got := After(holds, cause); got != want {
			t.Errorf("After(_, %q) = %v, want %v", cause, got, want)
		}
	}
	if After(nil, CauseRecovery) {
		t.Error("After(nil, recovery) = true, want false")
	}
}

// A request that two rules match is held as long as either holds it, and by no
// factor that either refuses.
func TestRequireKeepsTheHoldsOfAllRules(t *testing.T) {
	set := mustCompile(t,
		Rule{Name: "a", Paths: []string{"/a*"}, Holds: []Hold{{time.Hour, []Cause{CauseRecovery}}}},
		Rule{Name: "b", Paths: []string{"/a/b"}, Holds: []Hold{{time.Minute, []Cause{CauseSupport}}, {24 * time.Hour, []Cause{CauseRecovery, CauseFactorChange}}}},
		Rule{Name: "c", Paths: []string{"/a/b"}},
	)
	want := set.Rules()
	req := Require(decidePath(set, "GET", "/a/b").Rules)
	holds := []Hold{{time.Hour, []Cause{CauseRecovery}}, {time.Minute, []Cause{CauseSupport}}, {24 * time.Hour, []Cause{CauseRecovery, CauseFactorChange}}}
	if diff := cmp.Diff(holds, req.Holds); diff != "" {
		t.Errorf("holds (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Factor{TOTP, SMS}, req.Factors); diff != "" {
		t.Errorf("factors (-want +got):\n%s", diff)
	}
	req.Holds[0].For, req.Holds[2].After[0] = 0, "spoilt"
	if diff := cmp.Diff(want, set.Rules()); diff != "" {
		t.Errorf("the rules after a change of the requirement (-want +got):\n%s", diff)
	}
}
