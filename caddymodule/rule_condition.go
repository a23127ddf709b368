package caddymodule

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/policy"
)

// conditionOptions are the words of a protect block that narrow it by what a
// request says beside path and method.
func (r *Rule) conditionOptions() []option {
	options := []option{
		{name: "host", parse: r.parseHosts},
		{name: "when", many: true, parse: r.parseAmount},
		{name: "except", many: true, parse: r.parseException},
	}
	for _, place := range []policy.Place{policy.InQuery, policy.InForm, policy.InJSON, policy.InHeader, policy.InGraphQL} {
		options = append(options, option{name: string(place), many: true, parse: func(d *caddyfile.Dispenser) error {
			return r.parseCondition(d, place)
		}})
	}
	return options
}

func (r *Rule) parseHosts(d *caddyfile.Dispenser) (err error) {
	r.Hosts, err = arguments(d, "one or more hosts, such as casino.example")
	return err
}

// parseCondition reads "query NAME VALUE …". Lines of one name are one condition
// with more values.
func (r *Rule) parseCondition(d *caddyfile.Dispenser, place policy.Place) error {
	want := "a name and one or more values, such as action withdraw, or action * for any"
	if place == policy.InGraphQL {
		want = "mutation, query or subscription and one or more fields, such as mutation withdraw"
	}
	words, err := arguments(d, want)
	if err != nil {
		return err
	}
	if len(words) < 2 {
		return d.Errf("%s %s needs %s", place, words[0], want)
	}
	name, values := words[0], words[1:]
	i := slices.IndexFunc(r.Conditions, func(c Condition) bool { return c.Place == place && strings.EqualFold(c.Name, name) })
	if i >= 0 {
		r.Conditions[i].Values = append(r.Conditions[i].Values, values...)
		return nil
	}
	r.Conditions = append(r.Conditions, Condition{Place: place, Name: name, Values: values})
	return nil
}

// parseAmount reads "when json:amount > 1000000".
func (r *Rule) parseAmount(d *caddyfile.Dispenser) error {
	words, err := arguments(d, "a field, a comparison and a number, such as when json:amount > 1000000")
	if err != nil {
		return err
	}
	source, name, found := strings.Cut(words[0], ":")
	if len(words) != 3 || !found {
		return d.Errf("when %s: write a field, a comparison and a number, each on its own, such as when json:amount > 1000000", strings.Join(words, " "))
	}
	r.Amounts = append(r.Amounts, Amount{Source: policy.DetailSource(source), Name: name, Operator: words[1], Limit: words[2]})
	return nil
}

// parseException reads "except path …" and "except method …".
func (r *Rule) parseException(d *caddyfile.Dispenser) error {
	words, err := arguments(d, "path or method and what is left alone, such as except path /wallet/quote")
	if err != nil {
		return err
	}
	if len(words) < 2 {
		return d.Errf("except %s names nothing: write what is left alone, such as except path /wallet/quote", words[0])
	}
	switch words[0] {
	case "path":
		r.ExceptPaths = append(r.ExceptPaths, words[1:]...)
	case "method":
		r.ExceptMethods = append(r.ExceptMethods, words[1:]...)
	default:
		return unknown(d, words[0], "kind of exception", []string{"path", "method"})
	}
	return nil
}
