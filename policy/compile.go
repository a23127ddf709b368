package policy

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The shortest and longest time for which a passed challenge can satisfy a rule.
const (
	minMaxAge = time.Second
	maxMaxAge = 24 * time.Hour
)

// Compile checks the rules, fills in their defaults and makes them ready for
// [Set.Decide]. The profiles name the frameworks of the site behind, whose doors
// are followed too: see [Profiles]. It does not keep or change what it is given.
// No rules make a Set that protects nothing. An error names the rule, what is
// wrong and what to write instead; it stands for the first fault only.
func Compile(rules []Rule, profiles ...string) (*Set, error) {
	named, err := findProfiles(profiles)
	if err != nil {
		return nil, err
	}
	s := &Set{rules: make([]Rule, 0, len(rules)), doors: gather(named)}
	names := make(map[string]bool, len(rules))
	for i := range rules {
		r := clone(rules[i])
		if err := checkName(r.Name); err != nil {
			return nil, fmt.Errorf("compiling rule %d: %w", i+1, err)
		}
		if names[r.Name] {
			return nil, fmt.Errorf("compiling rule %q: there is another rule of that name: "+
				"write another name, or add the paths to the first", r.Name)
		}
		if err := r.prepare(); err != nil {
			return nil, fmt.Errorf("compiling rule %q: %w", r.Name, err)
		}
		names[r.Name] = true
		s.rules = append(s.rules, r)
	}
	s.index = newIndex(s.rules, s.doors.prefixes)
	for id := range s.rules {
		s.parts = append(s.parts, s.partsOf(id))
	}
	return s, nil
}

// clone returns a rule that shares nothing with r.
func clone(r Rule) Rule {
	r.Paths = slices.Clone(r.Paths)
	r.Methods = slices.Clone(r.Methods)
	r.Factors = slices.Clone(r.Factors)
	r.Details = slices.Clone(r.Details)
	r.Trust = Trust{slices.Clone(r.Trust.ACR), slices.Clone(r.Trust.AMR)}
	r.Holds = slices.Clone(r.Holds)
	for i := range r.Holds {
		r.Holds[i].After = slices.Clone(r.Holds[i].After)
	}
	r.NamedBy = slices.Clone(r.NamedBy)
	r.Hosts = slices.Clone(r.Hosts)
	r.Amounts = slices.Clone(r.Amounts)
	r.ExceptPaths = slices.Clone(r.ExceptPaths)
	r.ExceptMethods = slices.Clone(r.ExceptMethods)
	r.Conditions = slices.Clone(r.Conditions)
	for i := range r.Conditions {
		r.Conditions[i].Values = slices.Clone(r.Conditions[i].Values)
	}
	return r
}

// prepare fills in the defaults of a rule and checks it.
func (r *Rule) prepare() error {
	if r.Group == "" {
		r.Group = r.Name
	} else if !isName(r.Group) {
		return fmt.Errorf("group %q has characters other than a-z, 0-9 and _: write %q", r.Group, nameFrom(r.Group))
	}
	if len(r.Paths) == 0 {
		return errors.New(`no path is named: write at least one, such as "/wallet/withdraw", or "/*" for all`)
	}
	for _, p := range r.Paths {
		if err := checkPath(p); err != nil {
			return err
		}
	}
	for _, prepare := range []func() error{
		r.prepareMethods, r.prepareHosts, r.checkConditions, r.checkExceptions, r.checkHolds, r.prepareFactors, r.prepareMaxAge, r.checkTrust, r.prepareAnswers,
	} {
		if err := prepare(); err != nil {
			return err
		}
	}
	for _, d := range r.Details {
		if err := checkDetail(d); err != nil {
			return err
		}
	}
	return r.checkNaming()
}

// checkNaming checks a rule whose requests name the account. It must look alike for every
// name, whether there is such an account and whatever it has (invariant I11).
func (r *Rule) checkNaming() error {
	for _, n := range r.NamedBy {
		if err := checkDetail(Detail{Label: "identity", Source: n.Source, Name: n.Name}); err != nil {
			return fmt.Errorf("identity: %w", err)
		}
	}
	switch {
	case len(r.NamedBy) == 0:
		return nil
	case r.Kind != Sensitive:
		return errors.New("identity can stand in protect only")
	case r.Unenrolled == UnenrolledAllow:
		return errors.New("identity and unenrolled allow would tell everybody which accounts have no second factor: write registered_phone or enrol")
	case r.Trust.Any():
		return errors.New("identity and trust exclude each other: who names an account shows no token")
	case len(r.Holds) > 0:
		return errors.New("identity and hold would tell everybody whose factors have changed: leave hold out")
	}
	return nil
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && !('a' <= c && c <= 'z') && !('0' <= c && c <= '9') {
			return false
		}
	}
	return s != ""
}

// nameFrom suggests a name that resembles s.
func nameFrom(s string) string {
	return strings.Map(func(r rune) rune {
		if r = unicode.ToLower(r); r < utf8.RuneSelf && isName(string(r)) {
			return r
		}
		return '_'
	}, s)
}

func checkName(name string) error {
	if name == "" {
		return errors.New(`it has no name: write one of a-z, 0-9 and _, such as "withdrawal"`)
	}
	if !isName(name) {
		return fmt.Errorf("name %q has characters other than a-z, 0-9 and _: write %q", name, nameFrom(name))
	}
	return nil
}

// checkPath says what is wrong with a rule's path. A path stands in one spelling
// only, the decoded and resolved one: that is what requests are brought to.
func checkPath(p string) error {
	fault := func(what, write string) error { return fmt.Errorf("path %q %s: write %q", p, what, write) }
	literal := strings.TrimSuffix(p, "*")
	middle := strings.Join(slices.DeleteFunc(strings.Split(literal, "/"), func(s string) bool { return s == "*" }), "/")
	switch u, err := url.Parse(p); {
	case p == "":
		return errors.New(`a path is empty: write "/" for the front page, or "/*" for all`)
	case err == nil && u.Host != "" && u.Scheme != "":
		return fault("is a whole URL", root(u.Path))
	case !utf8.ValidString(p) || strings.ContainsFunc(p, invisible):
		return fault("has a character that cannot be seen", drop(p))
	case narrow(p) != p:
		return fault("has a look-alike of an ASCII character", narrow(p))
	case strings.Contains(p, "%"):
		return fault("is percent-encoded", decoded(p))
	case strings.ContainsAny(p, "?#"):
		return fault("has a query or a fragment", cutAt("?#")(p))
	case strings.Contains(p, ";"):
		return fault("has path parameters", params(p))
	case strings.Contains(p, `\`):
		return fault("has a backslash", backslash(p))
	case p[0] != '/':
		return fault(`does not begin with "/"`, root(p))
	case strings.ContainsAny(p, "{}"):
		return fmt.Errorf("path %q has a placeholder, and only those of the environment are known before a request comes: write the path itself", p)
	case strings.Contains(middle, "*") || strings.HasSuffix(literal, "*"):
		return fault(`has "*" beside other text of a segment before its end`, cutAt("*")(p)+"*")
	case strings.Count(literal, "/") > strings.Count(middle, "/")+1:
		return fault(`has more than one segment "*"`, cutAt("*")(p)+"*")
	case merge(p) != p:
		return fault("has an empty segment", merge(p))
	case hasDotSegment(literal):
		return fault("has a dot segment", path.Clean(literal)+p[len(literal):])
	case trimmed(p) != p:
		return fault("has a segment that begins or ends with a space, or ends with a dot", trimmed(p))
	}
	return nil
}

// trimmed brings the segments of a rule's path to the form that they have on
// every disk. The star keeps what stands before it.
func trimmed(p string) string { return trimDots(trimSpaces(p)) }

func hasDotSegment(p string) bool {
	return slices.ContainsFunc(strings.Split(p, "/"), func(s string) bool { return s == "." || s == ".." })
}

// decoded suggests what a percent-encoded path stands for.
func decoded(p string) string {
	if text := decode(p); !strings.Contains(text, "%") {
		return text
	}
	return strings.ReplaceAll(p, "%", "")
}

// prepareMethods brings the methods to capitals, once each.
func (r *Rule) prepareMethods() error {
	var methods []string
	for _, m := range r.Methods {
		if !isToken(m) {
			return fmt.Errorf("method %q is not a method: write one such as \"POST\", each on its own", m)
		}
		if m = strings.ToUpper(m); !slices.Contains(methods, m) {
			methods = append(methods, m)
		}
	}
	r.Methods = methods
	return nil
}

// prepareHosts brings the hosts to small letters.
func (r *Rule) prepareHosts() error {
	for i, h := range r.Hosts {
		name := strings.TrimPrefix(h, "*.")
		switch {
		case strings.ContainsAny(h, "{}"):
			return fmt.Errorf("host %q has a placeholder, and only those of the environment are known before a request comes: write the host itself", h)
		case name == "" || strings.ContainsAny(name, "*/ ") || strings.Contains(h, "://"):
			return fmt.Errorf(`host %q is no host: write one such as "casino.example", or "*.casino.example" for all below it`, h)
		case hostName(name) != fold(name):
			return fmt.Errorf("host %q has a port or a dot at its end, which hosts are compared without: write %q", h, strings.TrimSuffix(h, name)+hostName(name))
		}
		r.Hosts[i] = fold(h)
	}
	return nil
}

func (r *Rule) checkConditions() error {
	for _, c := range r.Conditions {
		if err := c.check(); err != nil {
			return err
		}
	}
	for _, a := range r.Amounts {
		if err := a.check(); err != nil {
			return err
		}
	}
	return nil
}

// checkExceptions checks what the rule leaves alone.
func (r *Rule) checkExceptions() error {
	for _, p := range r.ExceptPaths {
		if err := checkPath(p); err != nil {
			return fmt.Errorf("except: %w", err)
		}
		if strings.Contains(strings.TrimSuffix(p, "*"), "*") {
			return fmt.Errorf(`except path %q has a segment "*": write the paths that are meant, each whole or with "*" at its end`, p)
		}
		if slices.ContainsFunc(r.Paths, func(path string) bool { return covers(p, path) }) {
			return fmt.Errorf("except path %q leaves nothing of the rule's path: take the path out of the rule", p)
		}
	}
	for _, m := range r.ExceptMethods {
		switch {
		case len(r.Methods) > 0:
			return errors.New("method and except method stand in one rule: write one of them")
		case !isToken(m) || m != strings.ToUpper(m):
			return fmt.Errorf(`except method %q is not a method in capitals: write one such as "GET", each on its own`, m)
		}
	}
	return nil
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z') && !('0' <= c && c <= '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

func (r *Rule) prepareFactors() error {
	if r.Factors == nil {
		r.Factors = slices.Clone(DefaultFactors)
	}
	if len(r.Factors) == 0 {
		return errors.New("no factor is named: write at least one of totp, sms and recovery_key, or leave factors out for all")
	}
	for i, f := range r.Factors {
		if !slices.Contains(DefaultFactors, f) {
			return fmt.Errorf("factor %q is not known: write totp, sms or recovery_key", f)
		}
		if slices.Contains(r.Factors[:i], f) {
			return fmt.Errorf("factor %q is named twice: write it once", f)
		}
	}
	return nil
}

func (r *Rule) prepareMaxAge() error {
	switch {
	case r.SingleUse && r.MaxAge != 0:
		return fmt.Errorf("single_use asks for every request, so max_age %v says nothing: write one of the two", r.MaxAge)
	case r.SingleUse && r.Kind == NewDevice:
		return errors.New("single_use would ask at each request of a new device: leave it out")
	case r.SingleUse:
	case r.MaxAge == 0 && r.Kind == NewDevice:
		r.MaxAge = DefaultDeviceAge
	case r.MaxAge == 0:
		r.MaxAge = DefaultMaxAge
	case r.MaxAge < minMaxAge:
		return fmt.Errorf("max_age %v is too short: write 1s to 24h, or single_use to ask for every request", r.MaxAge)
	case r.MaxAge > maxMaxAge:
		return fmt.Errorf("max_age %v is too long: write 1s to 24h", r.MaxAge)
	}
	return nil
}

func (r *Rule) prepareAnswers() error {
	if r.Anonymous == "" {
		r.Anonymous = AnonymousRefuse
	}
	if !slices.Contains(anonymousByStrictness, r.Anonymous) {
		return fmt.Errorf("anonymous %q is not known: write refuse or login", r.Anonymous)
	}
	if r.Unenrolled == "" && len(r.NamedBy) > 0 {
		// Nobody sets up a factor without a session, who has no password for one.
		r.Unenrolled = UnenrolledRegisteredPhone
	} else if r.Unenrolled == "" {
		r.Unenrolled = UnenrolledEnrol
	}
	if !slices.Contains(unenrolledByStrictness, r.Unenrolled) {
		return fmt.Errorf("unenrolled %q is not known: write enrol, registered_phone or allow", r.Unenrolled)
	}
	return nil
}

func checkDetail(d Detail) error {
	switch {
	case d.Label == "":
		return fmt.Errorf("the detail from %s.%s has no label: write one, such as amount or to", d.Source, d.Name)
	case d.Source != FromForm && d.Source != FromJSON && d.Source != FromQuery:
		return fmt.Errorf("detail %q comes from %q, which is not known: write form, json or query", d.Label, d.Source)
	case d.Name == "":
		return fmt.Errorf("detail %q names no field: write one, such as {%s.%s}", d.Label, d.Source, d.Label)
	case d.Source == FromJSON && slices.Contains(strings.Split(d.Name, "."), ""):
		return fmt.Errorf("detail %q has the JSON path %q with an empty name: write the names with one dot between them", d.Label, d.Name)
	}
	return nil
}
