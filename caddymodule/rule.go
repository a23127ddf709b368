package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/policy"
)

// Rule says which requests are protected, and by what. A request that several
// rules match must satisfy all of them.
type Rule struct {
	// kind is that of a rule which is no protect block.
	kind policy.Kind

	// The rule's name, of a-z, 0-9 and _. It stands in logs, metrics and answers to
	// scripts, and pages know texts for some: withdrawal, contact.
	Name string `json:"name,omitempty"`

	// The paths: exact, or ending in `*` for all that begin so; one segment in the
	// middle may be `*`. At least one. They are matched without regard to case and
	// under every spelling that some server takes for the same path. Placeholders of
	// the environment are replaced at load.
	Paths []string `json:"paths,omitempty"`

	// The methods. Default: all. A method that the request claims in a header, in
	// its query or in a form counts too.
	Methods []string `json:"methods,omitempty"`

	// The hosts, without port: whole, or `*.example.com`. Default: all of the site.
	// DANGER: a site that answers other hosts too is open under those. Placeholders
	// of the environment are replaced at load.
	Hosts []string `json:"hosts,omitempty"`

	// What the request must say beside its path, all of it. Default: nothing. DANGER:
	// each condition is something that an attacker can leave out, so name only what
	// the site needs for doing what the rule protects.
	Conditions []Condition `json:"conditions,omitempty"`

	// Numbers in the request that decide whether the rule applies, all of them. It
	// applies too where a number is missing, stands twice or is none.
	Amounts []Amount `json:"amounts,omitempty"`

	// Paths that the rule leaves alone: exact, or ending in `*`. Only requests that
	// are spelled exactly so, case included, are exempt.
	ExceptPaths []string `json:"except_paths,omitempty"`

	// Methods that the rule leaves alone, instead of `methods`.
	ExceptMethods []string `json:"except_methods,omitempty"`

	// Where the request names the account that it is about, by login name, e-mail address
	// or phone number, as a password reset does without a session. The account's factor is
	// asked for then, whoever is logged in; a name that nobody has is answered alike. Names
	// are learned from what the site says of its players, and imported by `stepgate alias
	// import`. Of several places a request uses one. Default: the session says whose the
	// request is.
	NamedBy []Naming `json:"named_by,omitempty"`

	// What the rule does: `enforce`; or `report`, which challenges nobody and logs and
	// counts what would have happened. DANGER: a rule that reports protects nothing.
	// Default: that of step_up.
	Mode Mode `json:"mode,omitempty"`

	// The factors that satisfy the rule, in order of preference: totp, sms,
	// recovery_key. Default: all, in this order, but for recovery_key where the rule
	// holds after recovery.
	Factors []policy.Factor `json:"factors,omitempty"`

	// How long a passed challenge satisfies the rule, 1s to 24h. Default: 5m.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// Ask for a code for each request, and let exactly the request through that
	// was shown, once. For everything that moves money.
	SingleUse bool `json:"single_use,omitempty"`

	// What the issuer of the player's token says of their login, so that no code is asked
	// for: for each request anew, for max_age from that login (`auth_time`), and not while
	// the account is frozen or on hold, nor after its grants were revoked. With identity
	// jwt, and not with single_use. DANGER: whoever has stolen such a token passes.
	// Default: nothing that it says counts.
	Trust *Trust `json:"trust,omitempty"`

	// Rules of the same group share a passed challenge. Default: the rule's name.
	Group string `json:"group,omitempty"`

	// What the challenge page shows of the request, so that the player sees what
	// the code is for.
	Details []Detail `json:"details,omitempty"`

	// The times in which the rule refuses everybody after a change of the player's
	// factors, right code or not: who is told of a change that they did not make has
	// that long to object before money moves. Default: none.
	Holds []Hold `json:"holds,omitempty"`

	// What visitors meet: `refuse`, a plain 401; `login`, pages lead to the login
	// page. Default: login where there is a login page, else refuse.
	Anonymous policy.Anonymous `json:"anonymous,omitempty"`

	// What players without a second factor meet: `enrol`, they have to set one up
	// first; `registered_phone`, a code to the phone that the site knows, and else
	// as enrol; `allow`, they go through. DANGER: with `allow` the rule protects
	// only who has chosen so. Default: enrol; registered_phone where the request names the
	// account, which then is as enrol where no SMS can be sent.
	Unenrolled policy.Unenrolled `json:"unenrolled,omitempty"`
}

// Trust is what an issuer has to say. Of each list that is given it has to name one.
type Trust struct {
	// Classes of authentication, as the claim `acr` names them.
	ACR []string `json:"acr,omitempty"`
	// Methods, as the claim `amr` names them, such as `otp` and `hwk` (RFC 8176).
	AMR []string `json:"amr,omitempty"`
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

// Naming is a place in a request where an account is named.
type Naming struct {
	// Where it stands: `form`, `json` or `query`.
	Source policy.DetailSource `json:"source,omitempty"`
	// The name of the field; for JSON, keys joined by dots.
	Name string `json:"name,omitempty"`
}

// Hold is a cooling-off time: for so long after a change a rule refuses.
type Hold struct {
	// How long, 1s to 90 days. Required.
	For caddy.Duration `json:"for,omitempty"`
	// What it follows, one or more: `factor_change`, a factor was bound, removed or
	// switched off; `first_enrolment`, the player had no factor and got one;
	// `recovery`, the recovery key was used; `support`, a support agent changed
	// something for the player. Required. A rule that holds after recovery does not
	// accept recovery_key.
	After []policy.Cause `json:"after,omitempty"`
}

// Mode is whether a rule is enforced.
type Mode string

// The modes.
const (
	ModeEnforce Mode = "enforce"
	ModeReport  Mode = "report"
)

// Condition is something that a request says beside its path.
type Condition struct {
	// Where it stands: `query`, `form`, `json`, `header`, or `graphql`. A parameter
	// is looked for in the query and in the body, whichever of the two is named.
	Place policy.Place `json:"in,omitempty"`
	// The name of the parameter or header; for JSON, keys joined by dots; for
	// GraphQL, `mutation`, `query` or `subscription`.
	Name string `json:"name,omitempty"`
	// The values, of which one is enough: whole, or ending in `*`. For GraphQL, the
	// names of fields at the root of the operation.
	Values []string `json:"values,omitempty"`
}

// Amount is a number in a request, and what it is compared with.
type Amount struct {
	// Where it stands: `form`, `json` or `query`.
	Source policy.DetailSource `json:"source,omitempty"`
	// The name of the field; for JSON, keys joined by dots.
	Name string `json:"name,omitempty"`
	// One of `>`, `>=`, `<` and `<=`.
	Operator string `json:"operator,omitempty"`
	// A number in decimal digits.
	Limit string `json:"limit,omitempty"`
}

// policy returns the rule as the policy takes it.
func (r Rule) policy() policy.Rule {
	rule := policy.Rule{
		Kind: r.kind, Name: r.Name, Paths: r.Paths, Methods: r.Methods, Factors: r.Factors,
		MaxAge: time.Duration(r.MaxAge), SingleUse: r.SingleUse, Group: r.Group,
		Anonymous: r.Anonymous, Unenrolled: r.Unenrolled,
		Hosts: r.Hosts, ExceptPaths: r.ExceptPaths, ExceptMethods: r.ExceptMethods, Report: r.Mode == ModeReport,
	}
	if r.Trust != nil {
		rule.Trust = policy.Trust(*r.Trust)
	}
	for _, c := range r.Conditions {
		rule.Conditions = append(rule.Conditions, policy.Condition(c))
	}
	for _, a := range r.Amounts {
		rule.Amounts = append(rule.Amounts, policy.Amount(a))
	}
	for _, n := range r.NamedBy {
		rule.NamedBy = append(rule.NamedBy, policy.Naming(n))
	}
	for _, d := range r.Details {
		rule.Details = append(rule.Details, policy.Detail(d))
	}
	for _, hold := range r.Holds {
		rule.Holds = append(rule.Holds, policy.Hold{For: time.Duration(hold.For), After: hold.After})
	}
	return rule
}

// compile makes the rules of the handler ready, as those of a gateway that can or
// cannot send SMS.
func (h *StepUp) compile(hasSMS bool) (*policy.Set, error) {
	set, err := h.compileRules()
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

// compileRules makes the rules ready as far as they depend on nothing else of the
// configuration.
func (h *StepUp) compileRules() (*policy.Set, error) {
	if err := h.Mode.check(); err != nil {
		return nil, err
	}
	implied, err := h.implied()
	if err != nil {
		return nil, err
	}
	written := slices.Concat(h.Rules, implied)
	rules := make([]policy.Rule, len(written))
	for i, r := range written {
		if r.Mode == "" && r.kind != policy.Login && r.kind != policy.Logout {
			r.Mode = h.Mode
		}
		if r.Anonymous == "" && h.LoginPage != "" {
			r.Anonymous = policy.AnonymousLogin
		}
		err := r.Mode.check()
		if err == nil {
			err = r.fill()
		}
		if err == nil && r.Anonymous == policy.AnonymousLogin && h.LoginPage == "" {
			err = errors.New("anonymous login needs to know where: write login_page and its path")
		}
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.Name, err)
		}
		rules[i] = r.policy()
	}
	return policy.Compile(rules, h.Profiles...)
}

func (m Mode) check() error {
	if m != "" && m != ModeEnforce && m != ModeReport {
		return fmt.Errorf("mode %q is not known: write enforce or report", m)
	}
	return nil
}

// fill replaces placeholders in what the rule says of paths and hosts. Only those
// that are known before a request comes are: by any other, whoever sends the
// request would choose what is protected.
func (r *Rule) fill() error {
	known := caddy.NewReplacer()
	for _, list := range []*[]string{&r.Paths, &r.Hosts, &r.ExceptPaths} {
		filled := slices.Clone(*list)
		for i, text := range filled {
			var err error
			if filled[i], err = known.ReplaceOrErr(text, true, true); err != nil {
				return fmt.Errorf("%q has a placeholder that is empty, or not known before a request comes: write {env.NAME} of a variable that is set, or the text itself", text)
			}
		}
		*list = filled
	}
	return nil
}

// checkTrust reports a rule that trusts an issuer where there is none.
func (h *StepUp) checkTrust() error {
	var source struct {
		Module string `json:"module"`
	}
	if err := json.Unmarshal(h.IdentityRaw, &source); err != nil {
		return nil // loading the module says so
	}
	if source.Module != "upstream" && source.Module != "placeholder" {
		return nil
	}
	for _, r := range h.Rules {
		if r.Trust != nil {
			return fmt.Errorf("rule %q: trust takes the word of an issuer of tokens, and identity %s knows none: write identity jwt, or leave trust out", r.Name, source.Module)
		}
	}
	return nil
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
	if rule.Unenrolled == policy.UnenrolledRegisteredPhone && len(rule.NamedBy) == 0 {
		return fmt.Errorf("unenrolled registered_phone needs SMS: write an sms block in the global options, or unenrolled enrol")
	}
	return nil
}
