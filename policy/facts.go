package policy

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// part is one thing that a rule asks for beside its path.
type part struct {
	text  string // as an operator would write it
	holds func(f *facts) answer
}

// parts returns what a compiled rule asks for, the cheapest first.
func (s *Set) partsOf(id int) []part {
	r := &s.rules[id]
	var parts []part
	if len(r.Methods) > 0 {
		parts = append(parts, part{"method " + strings.Join(r.Methods, " "), r.meetsMethod})
	}
	if len(r.ExceptMethods) > 0 {
		parts = append(parts, part{"except method " + strings.Join(r.ExceptMethods, " "), r.notExceptMethod})
	}
	if len(r.Hosts) > 0 {
		parts = append(parts, part{"host " + strings.Join(r.Hosts, " "), r.meetsHost})
	}
	if len(r.ExceptPaths) > 0 {
		parts = append(parts, part{"except path " + strings.Join(r.ExceptPaths, " "), func(f *facts) answer {
			return answerOf(!f.exempt(id, r.ExceptPaths))
		}})
	}
	for i := range r.Conditions {
		parts = append(parts, part{r.Conditions[i].String(), r.Conditions[i].holds})
	}
	for i := range r.Amounts {
		parts = append(parts, part{fmt.Sprint("when ", r.Amounts[i]), r.Amounts[i].holds})
	}
	return parts
}

// facts are what the parts of a rule look at.
type facts struct {
	req *Request
	set *Set
	// plain says that every path of the request is spelled plainly.
	plain bool
	// anyMethod says that the request stands for others, of any method.
	anyMethod bool

	methods *methods // once asked for
}

// queryFields yields the parameters of the query, and of the queries that
// headers bring.
func (f *facts) queryFields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for query := range f.req.queries() {
			for name, value := range queryPairs(query) {
				if !yield(Field{Source: FromQuery, Name: name, Value: value}) {
					return
				}
			}
		}
	}
}

// queries yields the query of the request and of each path that a header names.
func (req *Request) queries() iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(req.RawQuery) {
			return
		}
		for _, name := range pathHeaders {
			for _, value := range req.Header[name] {
				if _, query, found := strings.Cut(value, "?"); found && !yield(query) {
					return
				}
			}
		}
	}
}

// exempt reports whether each path of the request is one of those that a rule
// leaves alone, or none of the rule's. Only plain spellings are exempted, and
// only to the letter: what the site makes of any other is not known.
func (f *facts) exempt(id int, paths []string) bool {
	if !f.plain {
		return false
	}
	exempt := func(path string) bool {
		if slices.ContainsFunc(paths, func(p string) bool { return covers(p, path) }) {
			return true
		}
		var hits found
		sh, _ := survey(path)
		f.set.match(path, sh, &hits)
		return hits.first == nil || !slices.Contains(f.set.join(&hits).ids, id)
	}
	if !exempt(f.req.Targets[0]) || f.req.Targets[1] != "" && !exempt(f.req.Targets[1]) {
		return false
	}
	for _, name := range pathHeaders {
		for _, value := range f.req.Header[name] {
			if path, _, _ := strings.Cut(value, "?"); !exempt(path) {
				return false
			}
		}
	}
	return true
}

// covers reports whether a path is the one that p names, or begins as it does.
func covers(p, path string) bool {
	prefix, starred := strings.CutSuffix(p, "*")
	return p == path || starred && strings.HasPrefix(path, prefix)
}

// hostHeaders are the headers from which sites take the host, in canonical form.
var hostHeaders = [...]string{"X-Forwarded-Host", "X-Original-Host", "X-Host", "X-Forwarded-Server", "X-Http-Host-Override"}

// meetsHost says whether the request can be read as one to a host of the rule.
// A request that names none can be for any.
func (r *Rule) meetsHost(f *facts) answer {
	if r.meetsHostName(f.req.Host) {
		return yes
	}
	for _, name := range hostHeaders {
		for _, value := range f.req.Header[name] {
			for host := range strings.SplitSeq(value, ",") {
				if r.meetsHostName(host) {
					return yes
				}
			}
		}
	}
	for _, value := range f.req.Header["Forwarded"] {
		for pair := range strings.FieldsFuncSeq(value, func(c rune) bool { return c == ';' || c == ',' }) {
			name, host, _ := strings.Cut(pair, "=")
			if strings.EqualFold(strings.TrimSpace(name), "host") && r.meetsHostName(strings.Trim(host, `" `)) {
				return yes
			}
		}
	}
	return no
}

func (r *Rule) meetsHostName(host string) bool {
	host = hostName(host)
	return host == "" || slices.ContainsFunc(r.Hosts, func(h string) bool {
		below, wild := strings.CutPrefix(h, "*")
		return h == host || wild && strings.HasSuffix(host, below)
	})
}

// hostName returns a host without port, the root's dot, or case.
func hostName(host string) string {
	host = strings.TrimSpace(host)
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return fold(strings.TrimSuffix(host, "."))
}
