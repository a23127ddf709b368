package policy

import (
	"iter"
	"net/url"
	"slices"
	"strings"
)

// meets reports whether the rule protects requests of a method in capitals.
func (r *Rule) meets(method string) bool {
	if len(r.Methods) == 0 || slices.Contains(r.Methods, method) {
		return true
	}
	return (method == "HEAD" || method == "CONNECT") && slices.Contains(r.Methods, "GET")
}

// overrideHeaders are the headers by which frameworks let a client replace the
// method, in canonical form.
var overrideHeaders = [...]string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// claimedMethods returns the methods that the header and the query claim beside
// the request line, in capitals. Frameworks differ in the methods for which they
// listen, so the claim counts on all.
func claimedMethods(req *Request) []string {
	var methods []string
	claim := func(method string) {
		methods = append(methods, strings.ToUpper(strings.TrimSpace(method)))
	}
	for _, name := range overrideHeaders {
		for _, value := range req.Header[name] {
			claim(value)
		}
	}
	for name, value := range queryPairs(req.RawQuery) {
		if claimsMethod(name) {
			claim(value)
		}
	}
	return methods
}

// claimsMethod reports whether a query parameter replaces the method. PHP reads
// "." and " " in names as "_".
func claimsMethod(name string) bool {
	name = strings.Map(func(r rune) rune {
		if r == '.' || r == ' ' || r == '-' {
			return '_'
		}
		return r
	}, strings.ToLower(name))
	switch name {
	case "_method", "x_http_method_override", "x_http_method", "x_method_override":
		return true
	}
	return false
}

// queryPairs yields the decoded names and values of a query, for readers that
// part it at "&" only and for those that part it at ";" too. Where decoding fails
// they come as they are.
func queryPairs(query string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, separators := range []string{"&", "&;"} {
			if separators != "&" && !strings.Contains(query, ";") {
				return
			}
			parted := strings.FieldsFuncSeq(query, func(r rune) bool { return strings.ContainsRune(separators, r) })
			for pair := range parted {
				name, value, _ := strings.Cut(pair, "=")
				if !yield(queryText(name), queryText(value)) {
					return
				}
			}
		}
	}
}

func queryText(s string) string {
	if text, err := url.QueryUnescape(s); err == nil {
		return text
	}
	return s
}

// mayNameMethod reports whether the body of a request may name another method:
// a POST whose body frameworks parse into parameters. Some of them take a body
// of no stated type for a form.
func mayNameMethod(req *Request) bool {
	if !strings.EqualFold(req.Method, "POST") {
		return false
	}
	types := req.Header["Content-Type"]
	for _, t := range types {
		t = strings.ToLower(t)
		if strings.TrimSpace(t) == "" || strings.Contains(t, "form") || strings.Contains(t, "multipart/") {
			return true
		}
	}
	return len(types) == 0
}
