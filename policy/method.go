package policy

import (
	"iter"
	"net/url"
	"slices"
	"strings"
)

// methods are those that a request may be read as having.
type methods struct {
	named []string // in capitals: the request line's, then those that are claimed
	any   bool     // the body may name any
	ask   bool     // the body may name more, and has not been read
}

// methodsOf returns the methods of the request.
func (f *facts) methodsOf() *methods {
	if f.methods == nil {
		f.methods = f.req.readMethods()
		f.methods.any = f.methods.any || f.anyMethod
	}
	return f.methods
}

func (req *Request) readMethods() *methods {
	m := &methods{named: append([]string{strings.ToUpper(req.Method)}, claimedMethods(req)...)}
	if !mayCarryFields(req) {
		return m
	}
	switch body := req.Body; {
	case body == nil:
		m.ask = true
	case body.Unclear != "":
		m.any = true
	default:
		for _, field := range body.Fields {
			if claimsMethod(field.Name) {
				m.any = m.any || field.Container
				m.named = appendMethods(m.named, field.Value)
			}
		}
	}
	return m
}

// meetsMethod says whether the rule protects the request by one of its methods.
func (r *Rule) meetsMethod(f *facts) answer {
	m := f.methodsOf()
	switch {
	case m.any || slices.ContainsFunc(m.named, r.meets):
		return yes
	case m.ask:
		return ask
	}
	return no
}

// meets reports whether the rule protects requests of a method in capitals.
func (r *Rule) meets(method string) bool {
	if len(r.Methods) == 0 || slices.Contains(r.Methods, method) {
		return true
	}
	return (method == "HEAD" || method == "CONNECT") && slices.Contains(r.Methods, "GET")
}

// notExceptMethod says whether some method of the request is not one that the
// rule leaves alone.
func (r *Rule) notExceptMethod(f *facts) answer {
	m := f.methodsOf()
	left := func(method string) bool { return !slices.Contains(r.ExceptMethods, method) }
	switch {
	case m.any || left(f.req.Method) || slices.ContainsFunc(m.named, left):
		return yes
	case m.ask:
		return ask
	}
	return no
}

// overrideHeaders are the headers by which frameworks let a client replace the
// method, in canonical form.
var overrideHeaders = [...]string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// mayClaimMethod reports whether anything but the request line may name a method.
func mayClaimMethod(req *Request) bool {
	for _, name := range overrideHeaders {
		if len(req.Header[name]) > 0 {
			return true
		}
	}
	return mayCarryFields(req) || len(claimedMethods(req)) > 0
}

// claimedMethods returns the methods that the header and the query claim beside
// the request line, in capitals. Frameworks differ in the methods for which they
// listen, so the claim counts on all.
func claimedMethods(req *Request) []string {
	var methods []string
	for _, name := range overrideHeaders {
		for _, value := range req.Header[name] {
			methods = appendMethods(methods, value)
		}
	}
	for query := range req.queries() {
		for name, value := range queryPairs(query) {
			if claimsMethod(name) {
				methods = appendMethods(methods, value)
			}
		}
	}
	return methods
}

// MayWrite reports whether some site may take a request for one that changes something:
// by its method (RFC 9110 section 9.2.1), or by one that its header or its query claims.
// body says that it may have a body, which is not read and may claim one as well.
func (req *Request) MayWrite(body bool) bool {
	return !onlyReads(req.Method) || body && mayCarryFields(req) ||
		slices.ContainsFunc(claimedMethods(req), func(method string) bool { return !onlyReads(method) })
}

func onlyReads(method string) bool {
	return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE"
}

// appendMethods appends the methods in a claim, in capitals. Some readers take a
// member of a list.
func appendMethods(methods []string, claim string) []string {
	for text := range texts(claim) {
		for method := range strings.SplitSeq(text, ",") {
			methods = append(methods, strings.ToUpper(strings.TrimSpace(method)))
		}
	}
	return methods
}

// claimsMethod reports whether a parameter replaces the method. PHP reads "." and
// " " in names as "_".
func claimsMethod(name string) bool {
	if isPlainName(name) && name != "" && name[0] != '_' && lower[name[0]] != 'x' {
		return false
	}
	for text := range texts(name) {
		text, _, _ = strings.Cut(text, "[")
		switch strings.ReplaceAll(mangle(text), "-", "_") {
		case "_method", "x_http_method_override", "x_http_method", "x_method_override":
			return true
		}
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
	return decode(plus(s))
}

// mayCarryFields reports whether frameworks may parse a request's body into
// parameters, of which one may name another method. They do so for every method
// where the type says so, and some take the body of no stated type for a form.
func mayCarryFields(req *Request) bool {
	types := req.Header["Content-Type"]
	for _, t := range types {
		t = strings.ToLower(t)
		if strings.TrimSpace(t) == "" || strings.Contains(t, "form") || strings.Contains(t, "multipart/") || strings.Contains(t, "json") {
			return true
		}
	}
	return len(types) == 0 && req.Method != "GET" && req.Method != "HEAD" && req.Method != "OPTIONS"
}

// isPlainMethod reports whether a method is spelled in capitals.
func isPlainMethod(method string) bool {
	for i := range len(method) {
		if lower[method[i]] == method[i] && 'a' <= method[i] && method[i] <= 'z' {
			return false
		}
	}
	return true
}
