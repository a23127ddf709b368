package policy

import (
	"slices"
	"strings"
)

// Set is a compiled list of rules. It does not change, and any number of
// goroutines may use it at once.
type Set struct {
	rules []Rule
	parts [][]part // by rule
	index *index
	doors doors
}

// Rules returns the rules with their defaults filled in, in configuration order.
// The caller may change what it gets.
func (s *Set) Rules() []Rule {
	rules := make([]Rule, len(s.rules))
	for i := range s.rules {
		rules[i] = clone(s.rules[i])
	}
	return rules
}

// Decision is what the policy says of one request.
type Decision struct {
	// Rules are the rules that apply, in configuration order. None: the request is
	// not protected. The slice and the rules belong to the Set: read only.
	Rules []*Rule
	// Near says that a rule protects one of the request's paths, but asks for more
	// than the request says: the request may be the form of a challenge page that
	// was answered at its own URL. It can be set beside Rules.
	Near bool
	// Ask says that more rules may apply, which depends on the body: read it and
	// decide again with [Request.Body]. It is never set where the request has one.
	Ask bool
	// AskGraphQL says, beside Ask, that the GraphQL reading is asked for.
	AskGraphQL bool
	// Refuse is empty, or says in a word why the request cannot be understood
	// safely and must be answered 400: one of the Refused constants. It is set only
	// where the request touches a rule or may do so, and it outranks Rules.
	Refuse string
	// RefuseReport says that Refuse concerns rules in report mode only.
	RefuseReport bool
}

// The words of [Decision.Refuse]. They appear in logs and metrics.
const (
	// RefusedControlByte: a path that touches a rule carries a control byte.
	RefusedControlByte = "control_byte"
	// RefusedEncoding: a path that touches a rule carries a broken escape.
	RefusedEncoding = "encoding"
	// RefusedAmbiguous: a path that may touch a rule has more readings than are
	// followed.
	RefusedAmbiguous = "ambiguous"
)

// Decide says which rules apply to a request under any of its readings. It does
// not change the request, and allocates nothing where the request is spelled
// plainly and meets at most one set of rules, which ask for nothing but paths
// and methods.
func (s *Set) Decide(req *Request) Decision {
	if len(s.rules) == 0 {
		return Decision{}
	}
	var f found
	if s.glance(req, &f) {
		return s.answer(req, &f, true)
	}
	odd := *req // what is studied goes to the heap, and most requests must not
	return s.study(&odd, nil)
}

// glance looks at a request that is spelled plainly. It reports false if it is
// not, and then has decided nothing.
func (s *Set) glance(req *Request, f *found) bool {
	if s.doors.leadOn(req) {
		return false
	}
	path := req.Targets[0]
	if !s.glancePath(req, path, req.RawQuery, f) {
		return false
	}
	if was := req.Targets[1]; was != "" && was != path && !s.glancePath(req, was, req.RawQuery, f) {
		return false
	}
	for _, name := range pathHeaders {
		for _, value := range req.Header[name] {
			if path, query, _ := strings.Cut(value, "?"); !s.glancePath(req, path, query, f) {
				return false
			}
		}
	}
	return true
}

// glancePath matches a plain path, unless its query or its body may name another.
func (s *Set) glancePath(req *Request, path, query string, f *found) bool {
	sh, plain := survey(path)
	if !plain || sh.isFront(path) && (query != "" || s.doors.bodies && mayCarryFields(req)) || s.doors.isBatch(path) {
		return false
	}
	s.match(path, sh, f)
	return true
}

// match adds what one reading of a path hits, with what it hits behind a door
// that needs no reading of its own.
func (s *Set) match(path string, sh shape, f *found) {
	s.index.match(path, sh, f)
	if s.doors.locales {
		if rest := afterLocale(path); rest != path {
			s.index.match(rest, shapeOf(rest), f)
		}
	}
}

// study follows every reading of a request. With a trace it notes them there.
func (s *Set) study(req *Request, t *trace) Decision {
	r := reader{set: s, trace: t}
	r.readPaths(req)
	r.readDoors(req)

	if t != nil {
		t.found = r.found
	}
	d := s.answer(req, &r.found, false)
	touches := r.found.first != nil
	switch {
	case touches && r.control:
		d.Refuse = RefusedControlByte
	case touches && r.broken:
		d.Refuse = RefusedEncoding
	case r.beyond:
		d.Refuse = RefusedAmbiguous
	}
	d.Ask = d.Ask || r.ask
	d.RefuseReport = d.Refuse != "" && s.onlyReports(&r.found, r.beyond)
	return d
}

// onlyReports reports whether a refusal concerns rules in report mode only.
func (s *Set) onlyReports(f *found, beyond bool) bool {
	if beyond {
		return !slices.ContainsFunc(s.rules, Rule.enforced)
	}
	return !slices.ContainsFunc(s.join(f).rules, func(r *Rule) bool { return r.enforced() })
}

func (r Rule) enforced() bool { return !r.Report }

// answer turns what the paths hit into a decision by what else the rules ask for.
// plain says that every path was spelled plainly.
func (s *Set) answer(req *Request, f *found, plain bool) Decision {
	if f.first == nil {
		return Decision{}
	}
	h := f.first
	if len(f.more) > 0 {
		h = s.join(f)
	}
	if h.simple && !f.anyMethod {
		rules, known := h.byMethod[req.Method]
		if !known {
			rules, known = h.rest, isPlainMethod(req.Method)
		}
		if len(rules) == len(h.rules) || known && !mayClaimMethod(req) {
			return Decision{Rules: rules, Near: len(rules) < len(h.rules)}
		}
	}
	weighed := *req
	return s.weigh(h, &facts{req: &weighed, set: s, plain: plain, anyMethod: f.anyMethod})
}

// weigh asks each rule of a hit for everything that it asks for.
func (s *Set) weigh(h *hit, f *facts) Decision {
	var d Decision
	for _, id := range h.ids {
		switch s.applies(id, f) {
		case yes:
			d.Rules = append(d.Rules, &s.rules[id])
			continue
		case ask:
			d.Ask = true
			d.AskGraphQL = d.AskGraphQL || s.rules[id].asksGraphQL()
		}
		d.Near = true
	}
	return d
}

// applies says whether a rule whose path was hit applies to the request.
func (s *Set) applies(id int, f *facts) answer {
	all := yes
	for _, p := range s.parts[id] {
		if all = min(all, p.holds(f)); all == no {
			return no
		}
	}
	return all
}

func (r *Rule) asksGraphQL() bool {
	return slices.ContainsFunc(r.Conditions, func(c Condition) bool { return c.Place == InGraphQL })
}

// join returns one hit of all that was found.
func (s *Set) join(f *found) *hit {
	ids := f.first.ids
	for _, h := range f.more {
		ids = union(ids, h.ids)
	}
	return newHit(s.rules, ids)
}

// pathHeaders are the headers from which sites and proxies take the path, in
// canonical form.
var pathHeaders = [...]string{"X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Uri"}
