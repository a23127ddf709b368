package gate

import (
	"errors"
	"net/http"
	"slices"

	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
)

// enforced returns those of the rules that are enforced, and reports what the
// others would have done. A request that the gate itself restored was reported
// when it came.
func (g *Gate) enforced(r *http.Request, o own, rules []*policy.Rule) []*policy.Rule {
	if !slices.ContainsFunc(rules, inReport) {
		return rules
	}
	var enforced, reported []*policy.Rule
	for _, rule := range rules {
		if inReport(rule) {
			reported = append(reported, rule)
		} else {
			enforced = append(enforced, rule)
		}
	}
	if r.Context().Value(releaseKey{}) == nil {
		event, subject := g.wouldMeet(r, o, reported)
		// Of new devices only those are news.
		if !onlyNewDevice(reported) || event != audit.RequestGranted && event != audit.RequestAnonymous {
			g.observe(r, audit.Event{Name: audit.Reported(event), Subject: subject, Rule: ruleNames(reported)})
		}
	}
	return enforced
}

func inReport(rule *policy.Rule) bool { return rule.Report }

// wouldMeet returns what a request would have met if the rules were enforced, and
// whose it is. It changes nothing.
func (g *Gate) wouldMeet(r *http.Request, o own, rules []*policy.Rule) (event audit.Name, subject string) {
	if named := slices.DeleteFunc(slices.Clone(rules), func(rule *policy.Rule) bool { return len(rule.NamedBy) == 0 }); len(named) > 0 {
		return g.wouldMeetNamed(r, named), ""
	}
	if g.crossSite(r) && !onlyNewDevice(rules) {
		return audit.RequestCrossSite, ""
	}
	who, err := g.identify(r, o)
	switch {
	case errors.Is(err, identity.ErrAnonymous):
		return audit.RequestAnonymous, ""
	case errors.Is(err, identity.ErrAmbiguous):
		return audit.RequestAmbiguous, ""
	case err != nil:
		return audit.RequestUnavailable, ""
	}
	unmet, vouched, err := g.unproved(r.Context(), who, rules)
	if err == nil {
		unmet, err = g.silence(r.Context(), who, unmet)
	}
	switch {
	case err != nil:
		return audit.RequestUnavailable, string(who.id)
	case len(unmet) == 0:
		return granted(who, rules, vouched).Name, string(who.id)
	}
	a, err := who.backend.Accounts.Get(r.Context(), who.id)
	if err != nil {
		return audit.RequestUnavailable, string(who.id)
	}
	p, err := g.prospect(r, who, a, unmet)
	if err != nil {
		return audit.RequestUnavailable, string(who.id)
	}
	return p.event, string(who.id)
}
