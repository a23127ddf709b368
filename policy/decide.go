package policy

import (
	"slices"
	"strings"
)

// Set is a compiled list of rules. It does not change, and any number of
// goroutines may use it at once.
type Set struct {
	rules []Rule
	index *index
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
	// Near says that a rule protects one of the request's paths, but not for its
	// method: the request may be the form of a challenge page that was answered at
	// its own URL. It can be set beside Rules.
	Near bool
	// Refuse is empty, or says in a word why the request cannot be understood
	// safely and must be answered 400: one of the Refused constants. It is set only
	// where the request touches a rule or may do so, and it outranks Rules.
	Refuse string
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
// plainly and meets at most one set of rules by its own method.
func (s *Set) Decide(req *Request) Decision {
	if len(s.rules) == 0 {
		return Decision{}
	}
	var f found
	if s.index.glance(req, &f) {
		return s.answer(req, &f)
	}
	return s.study(req)
}

// glance looks at a request that is spelled plainly. It reports false if it is
// not, and then has decided nothing.
func (ix *index) glance(req *Request, f *found) bool {
	path := req.Targets[0]
	if !ix.glancePath(path, req.RawQuery, f) {
		return false
	}
	if was := req.Targets[1]; was != "" && was != path && !ix.glancePath(was, req.RawQuery, f) {
		return false
	}
	for _, name := range pathHeaders {
		for _, value := range req.Header[name] {
			if path, query, _ := strings.Cut(value, "?"); !ix.glancePath(path, query, f) {
				return false
			}
		}
	}
	return true
}

// glancePath matches a plain path, unless its query may name another.
func (ix *index) glancePath(path, query string, f *found) bool {
	sh, plain := survey(path)
	if !plain || query != "" && sh.isFront(path) {
		return false
	}
	ix.match(path, sh, f)
	return true
}

// study follows every reading of a request.
func (s *Set) study(req *Request) Decision {
	r := reader{ix: s.index}
	r.read(req.Targets[0])
	if was := req.Targets[1]; was != "" && was != req.Targets[0] {
		r.read(was)
	}
	for _, name := range pathHeaders {
		for _, value := range req.Header[name] {
			path, query, _ := strings.Cut(value, "?")
			r.read(path)
			r.readRoutes(query)
		}
	}
	r.readRoutes(req.RawQuery)

	d := s.answer(req, &r.found)
	touches := r.found.first != nil
	switch {
	case touches && r.control:
		d.Refuse = RefusedControlByte
	case touches && r.broken:
		d.Refuse = RefusedEncoding
	case r.beyond:
		d.Refuse = RefusedAmbiguous
	}
	return d
}

// answer turns what the paths hit into a decision by the request's methods.
func (s *Set) answer(req *Request, f *found) Decision {
	if f.first == nil {
		return Decision{}
	}
	h := f.first
	if len(f.more) > 0 {
		h = s.join(f)
	}
	method := strings.ToUpper(req.Method)
	rules, known := h.byMethod[method]
	if !known {
		rules = h.rest
	}
	if len(rules) == len(h.rules) {
		return Decision{Rules: rules}
	}
	if mayNameMethod(req) {
		return Decision{Rules: h.rules}
	}
	if claimed := claimedMethods(req); len(claimed) > 0 {
		rules = h.filter(append(claimed, method)...)
	}
	return Decision{Rules: rules, Near: len(rules) < len(h.rules)}
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

// routeParameters are the query parameters from which front controllers take the
// path: ThinkPHP, Yii, Drupal, Phalcon, OpenCart, WordPress and their like.
var routeParameters = []string{"s", "r", "q", "url", "_url", "route", "rest_route"}

// readRoutes follows the readings of the paths that a query names, where a front
// controller may be listening.
func (r *reader) readRoutes(query string) {
	if !r.front {
		return
	}
	for name, value := range queryPairs(query) {
		if slices.Contains(routeParameters, strings.ToLower(name)) {
			r.read(value)
		}
	}
}
