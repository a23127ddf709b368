package policy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRequireIsNeverWeakerThanAnyRule(t *testing.T) {
	amount, to := Detail{"amount", FromForm, "amount"}, Detail{"to", FromForm, "account"}
	wallet := &Rule{
		Name: "wallet", Group: "money", Factors: []Factor{SMS, TOTP, RecoveryKey}, MaxAge: time.Hour,
		Details: []Detail{amount}, Anonymous: AnonymousLogin, Unenrolled: UnenrolledAllow,
	}
	contact := &Rule{
		Name: "contact", Group: "money", Factors: []Factor{TOTP, SMS}, MaxAge: time.Minute,
		Details: []Detail{to, amount}, Anonymous: AnonymousLogin, Unenrolled: UnenrolledRegisteredPhone,
	}
	withdrawal := &Rule{
		Name: "withdrawal", Group: "withdrawal", Factors: []Factor{TOTP, RecoveryKey}, SingleUse: true,
		Anonymous: AnonymousRefuse, Unenrolled: UnenrolledEnrol,
	}
	texts := &Rule{
		Name: "texts", Group: "texts", Factors: []Factor{SMS}, MaxAge: 2 * time.Minute,
		Anonymous: AnonymousLogin, Unenrolled: UnenrolledEnrol,
	}
	for _, c := range []struct {
		name  string
		rules []*Rule
		want  Requirement
	}{
		{"", nil, Requirement{}},
		{"wallet", []*Rule{wallet}, Requirement{
			Rules: []string{"wallet"}, Groups: []string{"money"}, Factors: []Factor{SMS, TOTP, RecoveryKey}, MaxAge: time.Hour,
			Details: []Detail{amount}, Anonymous: AnonymousLogin, Unenrolled: UnenrolledAllow,
		}},
		{"wallet+contact", []*Rule{wallet, contact}, Requirement{
			Rules: []string{"wallet", "contact"}, Groups: []string{"money"}, Factors: []Factor{SMS, TOTP}, MaxAge: time.Minute,
			Details: []Detail{amount, to}, Anonymous: AnonymousLogin, Unenrolled: UnenrolledRegisteredPhone,
		}},
		{"contact+wallet", []*Rule{contact, wallet}, Requirement{
			Rules: []string{"contact", "wallet"}, Groups: []string{"money"}, Factors: []Factor{TOTP, SMS}, MaxAge: time.Minute,
			Details: []Detail{to, amount}, Anonymous: AnonymousLogin, Unenrolled: UnenrolledRegisteredPhone,
		}},
		{"withdrawal", []*Rule{withdrawal}, Requirement{
			Rules: []string{"withdrawal"}, Groups: []string{"withdrawal"}, Factors: []Factor{TOTP, RecoveryKey}, SingleUse: true,
			Anonymous: AnonymousRefuse, Unenrolled: UnenrolledEnrol,
		}},
		{"withdrawal+wallet", []*Rule{withdrawal, wallet}, Requirement{
			Rules: []string{"withdrawal", "wallet"}, Groups: []string{"withdrawal", "money"}, Factors: []Factor{TOTP, RecoveryKey}, MaxAge: time.Hour,
			SingleUse: true, Details: []Detail{amount}, Anonymous: AnonymousRefuse, Unenrolled: UnenrolledEnrol,
		}},
		{"withdrawal+texts", []*Rule{withdrawal, texts}, Requirement{
			Rules: []string{"withdrawal", "texts"}, Groups: []string{"withdrawal", "texts"}, Factors: []Factor{}, MaxAge: 2 * time.Minute,
			SingleUse: true, Anonymous: AnonymousRefuse, Unenrolled: UnenrolledEnrol,
		}},
	} {
		got := Require(c.rules)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("Require(%s) (-want +got):\n%s", c.name, diff)
		}
		if got.Name() != c.name {
			t.Errorf("Require(%s).Name() = %q, want %q", c.name, got.Name(), c.name)
		}
	}
}

// Merging takes factors away: from its own list, not from the rule's.
func TestRequireLeavesTheRulesAsTheyAre(t *testing.T) {
	set := mustCompile(t,
		Rule{Name: "a", Paths: []string{"/a*"}},
		Rule{Name: "b", Paths: []string{"/a/b"}, Factors: []Factor{RecoveryKey}, Details: []Detail{{"to", FromForm, "x"}}},
	)
	want := set.Rules()
	req := Require(decidePath(set, "GET", "/a/b").Rules)
	req.Factors[0], req.Details[0].Label = "spoilt", "spoilt"
	if diff := cmp.Diff(want, set.Rules()); diff != "" {
		t.Errorf("Rules after Require (-want +got):\n%s", diff)
	}
}

// A rule for new devices is satisfied for as long as a session may last, and never by
// one request alone.
func TestARuleForNewDevicesLastsADay(t *testing.T) {
	set, err := Compile([]Rule{{Kind: NewDevice, Name: "new_device", Paths: []string{"/*"}}, {Kind: Login, Name: "login", Paths: []string{"/login"}}})
	if err != nil {
		t.Fatal(err)
	}
	rules := set.Rules()
	if rules[0].MaxAge != DefaultDeviceAge || !rules[0].Guards() || rules[1].Guards() {
		t.Errorf("compiled to %+v", rules)
	}
	if _, err := Compile([]Rule{{Kind: NewDevice, Name: "new_device", Paths: []string{"/*"}, SingleUse: true}}); err == nil {
		t.Error("it may be single_use")
	}
}

// I11: what such a rule answers must not depend on the account.
func TestARuleThatIsToldTheAccountTellsNothingOfIt(t *testing.T) {
	rule := func(alter func(r *Rule)) Rule {
		r := Rule{Name: "reset", Paths: []string{"/reset"}, NamedBy: []Naming{{Source: FromForm, Name: "email"}}}
		alter(&r)
		return r
	}
	if _, err := Compile([]Rule{rule(func(*Rule) {})}); err != nil {
		t.Fatal(err)
	}
	if set, err := Compile([]Rule{rule(func(*Rule) {})}); err != nil || set.Rules()[0].Unenrolled != UnenrolledRegisteredPhone {
		t.Errorf("a player without a factor meets %v, want a code to the phone that the site knows", set.Rules()[0].Unenrolled)
	}
	for name, alter := range map[string]func(r *Rule){
		"unenrolled allow": func(r *Rule) { r.Unenrolled = UnenrolledAllow },
		"hold": func(r *Rule) {
			r.Holds = []Hold{{For: time.Hour, After: []Cause{CauseRecovery}}}
			r.Factors = []Factor{TOTP}
		},
		"new devices":   func(r *Rule) { r.Kind = NewDevice },
		"no such place": func(r *Rule) { r.NamedBy[0].Source = "cookie" },
		"no name":       func(r *Rule) { r.NamedBy[0].Name = "" },
	} {
		if _, err := Compile([]Rule{rule(alter)}); err == nil {
			t.Errorf("%s: it compiles", name)
		}
	}
}
