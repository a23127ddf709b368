package caddymodule

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/policy"
)

// Rule says which requests are protected, and by what. A request that several
// rules match must satisfy all of them.
type Rule struct {
	// The rule's name, of a-z, 0-9 and _. It stands in logs, metrics and answers to
	// scripts, and pages know texts for some: withdrawal, contact.
	Name string `json:"name,omitempty"`

	// The paths: exact, or ending in `*` for all that begin so. At least one. They
	// are matched without regard to case and under every spelling that some server
	// takes for the same path.
	Paths []string `json:"paths,omitempty"`

	// The methods. Default: all. A method that the request claims in a header, in
	// its query or in a form counts too.
	Methods []string `json:"methods,omitempty"`

	// The factors that satisfy the rule, in order of preference: totp, sms,
	// recovery_key. Default: all, in this order.
	Factors []policy.Factor `json:"factors,omitempty"`

	// How long a passed challenge satisfies the rule, 1s to 24h. Default: 5m.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// Ask for a code for each request, and let exactly the request through that
	// was shown, once. For everything that moves money.
	SingleUse bool `json:"single_use,omitempty"`

	// Rules of the same group share a passed challenge. Default: the rule's name.
	Group string `json:"group,omitempty"`

	// What the challenge page shows of the request, so that the player sees what
	// the code is for.
	Details []Detail `json:"details,omitempty"`

	// What visitors meet: `refuse`, a plain 401; `login`, pages lead to the login
	// page. Default: login where there is a login page, else refuse.
	Anonymous policy.Anonymous `json:"anonymous,omitempty"`

	// What players without a second factor meet: `enrol`, they have to set one up
	// first; `registered_phone`, a code to the phone that the site knows, and else
	// as enrol; `allow`, they go through. DANGER: with `allow` the rule protects
	// only who has chosen so. Default: enrol.
	Unenrolled policy.Unenrolled `json:"unenrolled,omitempty"`
}

// Detail is one value of a request that the challenge page shows.
type Detail struct {
	// What it is called. The pages know a translation for amount, to, account,
	// bank, email, phone.
	Label string `json:"label,omitempty"`
	// Where it stands: `form`, `json` or `query`.
	Source policy.DetailSource `json:"source,omitempty"`
	// The name of the field; for JSON, keys joined by dots.
	Name string `json:"name,omitempty"`
}

// policy returns the rule as the policy takes it.
func (r Rule) policy() policy.Rule {
	rule := policy.Rule{
		Name: r.Name, Paths: r.Paths, Methods: r.Methods, Factors: r.Factors,
		MaxAge: time.Duration(r.MaxAge), SingleUse: r.SingleUse, Group: r.Group,
		Anonymous: r.Anonymous, Unenrolled: r.Unenrolled,
	}
	for _, d := range r.Details {
		rule.Details = append(rule.Details, policy.Detail(d))
	}
	return rule
}

// compile makes the policy of rules, with their defaults. hasLogin tells whether
// there is a login page, hasSMS whether codes can be sent.
func compile(rules []Rule, hasLogin, hasSMS bool) (*policy.Set, error) {
	compiled := make([]policy.Rule, len(rules))
	for i, r := range rules {
		rule := r.policy()
		if rule.Anonymous == "" && hasLogin {
			rule.Anonymous = policy.AnonymousLogin
		}
		if rule.Anonymous == policy.AnonymousLogin && !hasLogin {
			return nil, fmt.Errorf("rule %q: anonymous login needs to know where: write login_page and its path", r.Name)
		}
		compiled[i] = rule
	}
	set, err := policy.Compile(compiled)
	if err != nil {
		return nil, err
	}
	for _, rule := range set.Rules() {
		if err := checkFactors(rule, hasSMS); err != nil {
			return nil, fmt.Errorf("rule %q: %w", rule.Name, err)
		}
	}
	return set, nil
}

// checkFactors reports a rule that no player could ever satisfy.
func checkFactors(rule policy.Rule, hasSMS bool) error {
	if !slices.ContainsFunc(rule.Factors, func(f policy.Factor) bool { return f != policy.RecoveryKey }) {
		return fmt.Errorf("recovery_key stands in for a factor and is none itself: write totp or sms beside it")
	}
	if hasSMS {
		return nil
	}
	if !slices.Contains(rule.Factors, policy.TOTP) {
		return fmt.Errorf("it accepts no factor but sms, and no SMS can be sent: write an sms block in the global options, or factors totp")
	}
	if rule.Unenrolled == policy.UnenrolledRegisteredPhone {
		return fmt.Errorf("unenrolled registered_phone needs SMS: write an sms block in the global options, or unenrolled enrol")
	}
	return nil
}
