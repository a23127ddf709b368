package caddymodule

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/internal/spelling"
	"github.com/stepgate/stepgate/policy"
)

// parse reads a protect block:
//
//	protect <name> {
//		path       <pattern> ...
//		method     <method> ...
//		factors    totp|sms|recovery_key ...
//		max_age    <duration>
//		single_use
//		trust      acr|amr <value> ...
//		group      <name>
//		identity   form.<field>|json.<path>|query.<field> ...
//		show       <label> {form.<field>}|{json.<path>}|{query.<field>} ...
//		hold       <duration> after factor_change|first_enrolment|recovery|support ...
//		anonymous  refuse|login
//		unenrolled enrol|registered_phone|allow
//		mode       enforce|report
//		host       <host> ...
//		query      <name> <value> ...
//		form       <name> <value> ...
//		json       <path> <value> ...
//		header     <name> <value> ...
//		graphql    mutation|query|subscription <field> ...
//		when       form|json|query:<name> >|>=|<|<= <number>
//		except     path <pattern> ...
//		except     method <method> ...
//	}
//
// After each line the rule as read so far is compiled, so that an error of the
// policy names the line. path, trust, show, hold and the conditions may stand several times.
func (r *Rule) parse(d *caddyfile.Dispenser) error {
	var err error
	if r.Name, err = argument(d, "a name of a-z, 0-9 and _, such as withdrawal"); err != nil {
		return err
	}
	if err := r.try(d); err != nil {
		return err
	}
	options := []option{
		{name: "path", many: true, parse: r.parsePaths},
		{name: "method", parse: r.parseMethods},
		{name: "factors", parse: r.parseFactors},
		duration("max_age", "5m", &r.MaxAge),
		flag("single_use", &r.SingleUse),
		{name: "trust", many: true, parse: r.parseTrust},
		text("group", "a name of a-z, 0-9 and _, such as account", &r.Group),
		{name: "identity", parse: r.parseIdentity},
		{name: "show", many: true, parse: r.parseShow},
		{name: "hold", many: true, parse: r.parseHold},
		text("anonymous", "refuse or login", (*string)(&r.Anonymous)),
		text("unenrolled", "enrol, registered_phone or allow", (*string)(&r.Unenrolled)),
		{name: "mode", parse: r.Mode.parse},
	}
	if err := r.parseOptions(d, "protect", append(options, r.conditionOptions()...)); err != nil {
		return err
	}
	if len(r.Paths) == 0 {
		return d.Errf("protect %s names no path: write at least one, such as path /wallet/withdraw, or path /* for all", r.Name)
	}
	return nil
}

// parseOptions reads a block of a rule and compiles what it has after each line.
func (r *Rule) parseOptions(d *caddyfile.Dispenser, of string, options []option) error {
	for i := range options {
		parse := options[i].parse
		options[i].parse = func(d *caddyfile.Dispenser) error {
			if err := parse(d); err != nil {
				return err
			}
			return r.try(d)
		}
	}
	return parseBlock(d, of, options)
}

// try reports what the policy says of the rule as read so far.
func (r *Rule) try(d *caddyfile.Dispenser) error {
	filled := *r
	if err := filled.fill(); err != nil {
		return d.WrapErr(err)
	}
	rule := filled.policy()
	if len(rule.Paths) == 0 {
		rule.Paths = []string{"/"}
	}
	if _, err := policy.Compile([]policy.Rule{rule}); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (r *Rule) parsePaths(d *caddyfile.Dispenser) error {
	paths, err := arguments(d, "one or more paths, such as /wallet/withdraw*")
	r.Paths = append(r.Paths, paths...)
	return err
}

func (r *Rule) parseMethods(d *caddyfile.Dispenser) (err error) {
	r.Methods, err = arguments(d, "one or more methods, such as POST")
	return err
}

func (r *Rule) parseFactors(d *caddyfile.Dispenser) error {
	names, err := arguments(d, "one or more of totp, sms and recovery_key")
	for _, name := range names {
		r.Factors = append(r.Factors, policy.Factor(name))
	}
	return err
}

// parseTrust reads "trust acr urn:example:mfa".
func (r *Rule) parseTrust(d *caddyfile.Dispenser) error {
	words, err := arguments(d, "acr or amr and what the issuer says, such as trust acr urn:example:mfa")
	if err != nil {
		return err
	}
	if r.Trust == nil {
		r.Trust = new(Trust)
	}
	claims := map[string]*[]string{"acr": &r.Trust.ACR, "amr": &r.Trust.AMR}
	into, ok := claims[words[0]]
	switch {
	case !ok:
		return unknown(d, words[0], "claim that a rule can trust", slices.Collect(maps.Keys(claims)))
	case len(words) == 1:
		return d.Errf("trust %s needs what the issuer says, such as trust %s %s", words[0], words[0], map[string]string{"acr": "urn:example:mfa", "amr": "otp"}[words[0]])
	case *into != nil:
		return d.Errf("trust %s stands twice: write it once, with all values of which one is enough", words[0])
	}
	*into = words[1:]
	return nil
}

// parseIdentity reads the places where a request names its account.
func (r *Rule) parseIdentity(d *caddyfile.Dispenser) error {
	places, err := arguments(d, "one or more places where the request names the account, such as form.email")
	if err != nil {
		return err
	}
	for _, place := range places {
		source, name, _ := strings.Cut(strings.Trim(place, "{}"), ".")
		switch s := policy.DetailSource(source); s {
		case policy.FromForm, policy.FromJSON, policy.FromQuery:
			r.NamedBy = append(r.NamedBy, Naming{Source: s, Name: name})
		default:
			return d.Errf("identity %q is no place in a request: write form.NAME, json.PATH or query.NAME, such as form.email", place)
		}
	}
	return nil
}

// parseHold reads "hold 24h after factor_change recovery".
func (r *Rule) parseHold(d *caddyfile.Dispenser) error {
	duration, err := durationArgument(d, "24h")
	if err != nil {
		return err
	}
	hold := Hold{For: duration}
	words := d.RemainingArgs()
	var causes []string
	for _, cause := range policy.Causes {
		causes = append(causes, string(cause))
	}
	if len(words) < 2 || words[0] != "after" {
		return d.Errf("hold needs a duration, the word after and one or more of %s, such as hold 24h after factor_change", strings.Join(causes, ", "))
	}
	for i, word := range words[1:] {
		switch {
		case !slices.Contains(causes, word):
			return unknown(d, word, "change that a rule holds after", causes)
		case slices.Contains(words[1:i+1], word):
			return d.Errf("%s stands twice after hold: write it once", word)
		}
		hold.After = append(hold.After, policy.Cause(word))
	}
	r.Holds = append(r.Holds, hold)
	return nil
}

var (
	// shownPattern is how a part of the request is written.
	shownPattern = regexp.MustCompile(`^\{([a-z_]+)\.([^{}]+)\}$`)
	// shownQuery is what Caddy's adapter makes of {query.NAME}.
	shownQuery = "{http.request.uri.query."
)

// parseShow reads a detail. Several places after one label are places where it may
// stand, such as in a form and in JSON.
func (r *Rule) parseShow(d *caddyfile.Dispenser) error {
	label, err := argument(d, "a label and where the value stands, such as show amount {form.amount}")
	if err != nil {
		return err
	}
	if !d.NextArg() {
		return d.Errf("show %s needs the place where the value stands, such as {form.%s}", label, strings.Trim(label, "{}"))
	}
	for more := true; more; more = d.NextArg() {
		detail, err := parsePlace(d, label)
		if err != nil {
			return err
		}
		r.Details = append(r.Details, detail)
	}
	return nil
}

// parsePlace reads {form.NAME}, {json.PATH} or {query.NAME}.
func parsePlace(d *caddyfile.Dispenser, label string) (Detail, error) {
	place := d.Val()
	if name, ok := strings.CutPrefix(place, shownQuery); ok {
		place = "{query." + name
	}
	source, name := "", ""
	if parts := shownPattern.FindStringSubmatch(place); parts != nil {
		source, name = parts[1], parts[2]
	}
	switch s := policy.DetailSource(source); s {
	case policy.FromForm, policy.FromJSON, policy.FromQuery:
		return Detail{Label: label, Source: s, Name: name}, nil
	}
	if near := spelling.Closest(source, []string{string(policy.FromForm), string(policy.FromJSON), string(policy.FromQuery)}); source != "" && near != "" {
		return Detail{}, d.Errf("%q is no place in a request: did you mean {%s.%s}?", place, near, name)
	}
	return Detail{}, d.Errf("%q is no place in a request: write {form.NAME}, {json.PATH} or {query.NAME}", place)
}
