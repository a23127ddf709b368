package policy

import (
	"slices"
	"strings"
	"time"
)

// Requirement is what all the rules that apply to a request demand together. It
// is never weaker than any of them.
type Requirement struct {
	// Rules are the names of the rules, in configuration order.
	Rules []string
	// Groups are their groups, once each. A grant must open every one.
	Groups []string
	// Factors are those that all rules accept, in the first rule's order. None
	// means that no factor can satisfy them: refuse.
	Factors []Factor
	// MaxAge is the smallest of the rules that name one; 0 if all are single-use.
	MaxAge time.Duration
	// SingleUse says that at least one rule demands a challenge for this request
	// alone.
	SingleUse bool
	// Details are those of all rules, in their order and once each.
	Details []Detail
	// ACR are the classes of authentication that all rules trust an issuer to have made, in
	// the first rule's order.
	ACR []string
	// Holds are those of all rules.
	Holds []Hold
	// Anonymous and Unenrolled are the strictest answers.
	Anonymous  Anonymous
	Unenrolled Unenrolled
}

// Name returns the names of the rules, joined by "+".
func (r Requirement) Name() string { return strings.Join(r.Rules, "+") }

// anonymousByStrictness and unenrolledByStrictness list the answers from the
// strictest.
var (
	anonymousByStrictness  = []Anonymous{AnonymousRefuse, AnonymousLogin}
	unenrolledByStrictness = []Unenrolled{UnenrolledEnrol, UnenrolledRegisteredPhone, UnenrolledAllow}
)

// Require merges the demands of compiled rules. It returns the zero Requirement
// for none. Nothing that it returns is shared with the rules.
func Require(rules []*Rule) Requirement {
	var req Requirement
	for i, r := range rules {
		req.Rules = append(req.Rules, r.Name)
		if !slices.Contains(req.Groups, r.Group) {
			req.Groups = append(req.Groups, r.Group)
		}
		for _, d := range r.Details {
			if !slices.Contains(req.Details, d) {
				req.Details = append(req.Details, d)
			}
		}
		for _, h := range r.Holds {
			req.Holds = append(req.Holds, Hold{For: h.For, After: slices.Clone(h.After)})
		}
		if r.SingleUse {
			req.SingleUse = true
		} else if req.MaxAge == 0 || r.MaxAge < req.MaxAge {
			req.MaxAge = r.MaxAge
		}
		if i == 0 {
			req.Factors = slices.Clone(r.Factors)
			req.ACR = slices.Clone(r.Trust.ACR)
			req.Anonymous, req.Unenrolled = r.Anonymous, r.Unenrolled
			continue
		}
		req.Factors = slices.DeleteFunc(req.Factors, func(f Factor) bool { return !slices.Contains(r.Factors, f) })
		req.ACR = slices.DeleteFunc(req.ACR, func(acr string) bool { return !slices.Contains(r.Trust.ACR, acr) })
		req.Anonymous = stricter(anonymousByStrictness, req.Anonymous, r.Anonymous)
		req.Unenrolled = stricter(unenrolledByStrictness, req.Unenrolled, r.Unenrolled)
	}
	return req
}

// stricter returns the one of a and b that stands first in order. What is not in
// order, which Compile lets through nowhere, counts as the first of all.
func stricter[T comparable](order []T, a, b T) T {
	rank := max(0, min(slices.Index(order, a), slices.Index(order, b)))
	return order[rank]
}
