package policy

import (
	"slices"
	"strings"
)

// doors are the ways by which a request can reach the handler of another path
// than its own, gathered from the profiles of a set. Those that every set has
// stand in routeParameters, routePairs and pathHeaders.
type doors struct {
	prefixes []string
	params   []routeParameter
	batches  []batch
	bodies   bool
	routes   bool
	locales  bool
}

// routeParameter is a parameter that names the path, at whatever path it is sent
// to.
type routeParameter struct {
	name string
	base string // what its value is a path below
}

// batch is an endpoint whose body holds further requests.
type batch struct {
	path  string
	field string // where the path of each stands
	base  string // what that is a path below
}

// routeParameters are the parameters from which front controllers take the path:
// ThinkPHP, Yii, Drupal, Phalcon, OpenCart, WordPress and their like.
var routeParameters = []string{"s", "r", "q", "url", "_url", "route", "rest_route", "path", "page"}

// routePairs are the parameters from which front controllers take a controller
// and its action, each with the names that it goes by.
var routePairs = [2][]string{{"controller", "ctrl", "c"}, {"action", "act", "method", "task", "a", "m"}}

// gather returns the doors of the named profiles.
func gather(profiles []*Profile) doors {
	var d doors
	for _, p := range profiles {
		d.prefixes = append(d.prefixes, p.prefixes...)
		d.params = append(d.params, p.params...)
		d.batches = append(d.batches, p.batches...)
		d.bodies = d.bodies || p.bodies
		d.routes = d.routes || p.routes
		d.locales = d.locales || p.locales
	}
	return d
}

// leadOn reports whether the query may name a path although the request's own is
// no front controller's.
func (d *doors) leadOn(req *Request) bool {
	if !d.anywhere() {
		return false
	}
	for query := range req.queries() {
		for name := range queryPairs(query) {
			if d.param(name) != nil || d.routes && (isRouteParameter(name) || isOf(name, routePairs[0])) {
				return true
			}
		}
	}
	return d.bodies && mayCarryFields(req)
}

// anywhere reports whether parameters may name a path at every path.
func (d *doors) anywhere() bool { return d.routes || len(d.params) > 0 }

func isRouteParameter(name string) bool { return isOf(name, routeParameters) }

// isOf reports whether a parameter has one of the names.
func isOf(name string, names []string) bool {
	return slices.ContainsFunc(names, func(known string) bool { return hasName(name, known) })
}

// param returns the door that a parameter opens at every path, or nil.
func (d *doors) param(name string) *routeParameter {
	for i := range d.params {
		if hasName(name, d.params[i].name) {
			return &d.params[i]
		}
	}
	return nil
}

// isBatch reports whether a folded path, or one in ASCII, is that of a batch
// endpoint.
func (d *doors) isBatch(path string) bool {
	return slices.ContainsFunc(d.batches, func(b batch) bool {
		return strings.EqualFold(strings.TrimRight(path, "/"), b.path)
	})
}

// afterLocale leaves out a first segment that may name a language, such as /id
// or /pt-BR.
func afterLocale(path string) string {
	end := strings.IndexByte(path[1:], '/') + 1
	if end == 0 {
		end = len(path)
	}
	language, region, parted := strings.Cut(path[1:end], "-")
	if !parted {
		language, region, parted = strings.Cut(path[1:end], "_")
	}
	if len(language) < 2 || len(language) > 3 || !isLetters(language) || parted && (len(region) < 2 || len(region) > 4) {
		return path
	}
	if end == len(path) {
		return "/"
	}
	return path[end:]
}

func isLetters(s string) bool {
	for i := range len(s) {
		if c := lower[s[i]]; c < 'a' || 'z' < c {
			return false
		}
	}
	return true
}

// readDoors follows the readings of the paths that the query and the body name.
func (r *reader) readDoors(req *Request) {
	for query := range req.queries() {
		var named pair
		for name, value := range queryPairs(query) {
			r.readParameter("query parameter", name, value, &named)
		}
		r.readPair(&named)
	}
	d := &r.set.doors
	batches := r.batches()
	if len(batches) == 0 && !(d.bodies && (r.front || d.anywhere()) && mayCarryFields(req)) {
		return
	}
	switch body := req.Body; {
	case body == nil:
		r.ask = true
	case body.Unclear == UnclearTooLarge && !r.front && len(batches) == 0:
		// An upload. What it could name beyond the cap is an open door that the profiles
		// tell of: to close it would be to challenge every large picture.
	case body.Unclear != "":
		r.everything()
	default:
		r.readBody(body, batches)
	}
}

// readBody follows the readings of the paths that a body names.
func (r *reader) readBody(body *Body, batches []batch) {
	var named pair
	for _, field := range body.Fields {
		for _, b := range batches {
			if hasName(field.Name, b.field) {
				r.found.anyMethod = true
				r.readFrom("request of a batch", b.base+root(field.Value))
			}
		}
		if r.set.doors.bodies {
			r.readParameter("field", field.Name, field.Value, &named)
		}
	}
	r.readPair(&named)
}

// readParameter follows the path that a parameter names, if it may name one.
func (r *reader) readParameter(from, name, value string, named *pair) {
	if door := r.set.doors.param(name); door != nil {
		r.readFrom(from, door.base+root(value))
	}
	if !r.front && !r.set.doors.routes {
		return
	}
	if isRouteParameter(name) {
		r.readFrom(from, value)
	}
	for i, names := range routePairs {
		if isOf(name, names) {
			named[i] = append(named[i], value)
		}
	}
}

// pair collects the controllers and the actions that parameters name.
type pair [2][]string

// maxPairs is how many controllers and actions are put together. Honest requests
// name one of each; more cost more than their bytes.
const maxPairs = 64

// readPair follows the paths that controllers and actions make together.
func (r *reader) readPair(named *pair) {
	if len(named[0])*len(named[1]) > maxPairs {
		r.beyond = true
		return
	}
	for _, controller := range named[0] {
		for _, action := range named[1] {
			r.readFrom("controller and action", "/"+controller+"/"+action)
		}
	}
}

// everything hits all rules: the request may stand for any other.
func (r *reader) everything() {
	r.found.anyMethod = true
	ids := make([]int, len(r.set.rules))
	for i := range ids {
		ids[i] = i
	}
	r.found.add(newHit(r.set.rules, ids))
}

// batches returns the batch endpoints among what the readings came to.
func (r *reader) batches() []batch {
	var open []batch
	for _, b := range r.set.doors.batches {
		if slices.Contains(r.batchPaths, b.path) && !slices.Contains(open, b) {
			open = append(open, b)
		}
	}
	return open
}
