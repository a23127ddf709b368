package gate

import (
	"context"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
)

// # What an issuer can say
//
// A site whose players log in at an issuer of tokens may have asked for a second factor
// there already. The token then says how and when ("acr", "amr" and "auth_time"; RFC 9470
// section 6), and a rule with [policy.Trust] takes the issuer's word for a challenge of
// ours, for as long as its max_age lasts from that login. No grant comes of it: each
// request is looked at anew.
//
// The token is all that speaks here, so whoever has stolen it passes. It opens nothing
// where a grant would not, and less: no single-use rule and nothing of the settings; no
// account that is frozen or on hold; and nothing if the account's grants were revoked, or
// the session ended, after that login. A refreshed token does not help, because its auth_time stays.

// unproved returns those of the rules that neither the caller's grant nor the caller's
// issuer satisfies, and whether an issuer did for one.
func (g *Gate) unproved(ctx context.Context, who *caller, rules []*policy.Rule) (unmet []*policy.Rule, vouched bool, err error) {
	unmet, err = g.unmet(ctx, who, rules)
	if err != nil || !slices.ContainsFunc(unmet, func(rule *policy.Rule) bool { return g.says(who, rule) }) {
		return unmet, false, err
	}
	a, err := who.backend.Accounts.Get(ctx, who.id)
	if err != nil {
		return nil, false, err
	}
	now := g.Now()
	left := slices.DeleteFunc(slices.Clone(unmet), func(rule *policy.Rule) bool {
		return g.says(who, rule) && listens(a, who, rule, now)
	})
	return left, len(left) < len(unmet), nil
}

// says reports whether the caller's issuer says what a rule trusts, of a login that is
// young enough. A rule that is single-use, as those of the settings are, trusts nobody,
// whatever it was compiled from.
func (g *Gate) says(who *caller, rule *policy.Rule) bool {
	by := who.identity.Authentication
	return by != nil && !rule.SingleUse &&
		rule.Trust.Met(by.ACR, by.AMR) && g.Now().Sub(by.At) <= rule.MaxAge
}

// listens reports whether the account lets the caller's issuer speak for the login that it
// tells of.
func listens(a *account.Account, who *caller, rule *policy.Rule, now time.Time) bool {
	until, _ := a.Held(rule.Holds, now)
	at := who.identity.Authentication.At
	return a.Frozen == nil && until.IsZero() && at.After(a.Revoked) && at.After(a.Ended[who.binding()])
}

// granted is the event of a request whose rules are met.
func granted(who *caller, rules []*policy.Rule, vouched bool) audit.Event {
	e := audit.Event{Name: audit.RequestGranted, Subject: string(who.id), Rule: ruleNames(rules)}
	if vouched {
		e.Name, e.Factor = audit.RequestVouched, audit.ByIssuer
	}
	return e
}
