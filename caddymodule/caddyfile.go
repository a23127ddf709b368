package caddymodule

import (
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/internal/spelling"
)

// option is a word that a block of the Caddyfile knows.
type option struct {
	name string
	// many says that it may stand more than once.
	many bool
	// parse reads what follows the word, which is the dispenser's current token.
	parse func(d *caddyfile.Dispenser) error
}

// text is an option with one argument; want describes it.
func text(name, want string, into *string) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) (err error) {
		*into, err = argument(d, want)
		return err
	}}
}

// list is an option with one or more arguments; want describes them.
func list(name, want string, into *[]string) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) (err error) {
		*into, err = arguments(d, want)
		return err
	}}
}

// flag is an option without argument.
func flag(name string, into *bool) option {
	return option{name: name, parse: func(*caddyfile.Dispenser) error {
		*into = true
		return nil
	}}
}

// duration is an option whose argument is a duration of more than 0.
func duration(name, example string, into *caddy.Duration) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) (err error) {
		*into, err = durationArgument(d, example)
		return err
	}}
}

// parseBlock reads the block that follows, if there is one. of names it in
// errors.
func parseBlock(d *caddyfile.Dispenser, of string, options []option) error {
	if d.NextArg() {
		return d.Errf("%q is one word too many in %s: remove it", d.Val(), of)
	}
	var used []string
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
		if i < 0 {
			names := make([]string, len(options))
			for i, o := range options {
				names[i] = o.name
			}
			return unknown(d, name, "option of "+of, names)
		}
		if slices.Contains(used, name) && !options[i].many {
			return d.Errf("%s stands twice in %s: write it once", name, of)
		}
		used = append(used, name)
		if err := options[i].parse(d); err != nil {
			return err
		}
		if err := finish(d, name); err != nil {
			return err
		}
	}
	return nil
}

// finish reports what follows a directive that is complete.
func finish(d *caddyfile.Dispenser, name string) error {
	if d.NextArg() {
		return d.Errf("%q is one word too many after %s: remove it", d.Val(), name)
	}
	if d.NextBlock(d.Nesting()) {
		d.Prev() // to the brace, whose line the error names
		return d.Errf("%s takes no block: remove the braces and what is between them", name)
	}
	return nil
}

// argument reads the one argument of the current word.
func argument(d *caddyfile.Dispenser, want string) (string, error) {
	name := d.Val()
	if !d.NextArg() || strings.TrimSpace(d.Val()) == "" {
		return "", d.Errf("%s needs %s", name, want)
	}
	return d.Val(), nil
}

// arguments reads the arguments of the current word, of which there must be one.
func arguments(d *caddyfile.Dispenser, want string) ([]string, error) {
	name := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 || slices.Contains(args, "") {
		return nil, d.Errf("%s needs %s", name, want)
	}
	return args, nil
}

func durationArgument(d *caddyfile.Dispenser, example string) (caddy.Duration, error) {
	name := d.Val()
	value, err := argument(d, "a duration such as "+example)
	if err != nil {
		return 0, err
	}
	return parseDuration(d, name, value, example)
}

// parseDuration reads the value of an option that is a duration.
func parseDuration(d *caddyfile.Dispenser, name, value, example string) (caddy.Duration, error) {
	parsed, err := caddy.ParseDuration(value)
	switch {
	case err != nil:
		return 0, d.Errf("%q after %s is no duration: write a number and a unit, such as %s", value, name, example)
	case parsed < time.Second:
		return 0, d.Errf("%q after %s is too short: write at least 1s, such as %s", value, name, example)
	}
	return caddy.Duration(parsed), nil
}

// unknown reports a word that is not known where it stands, and what to write
// instead.
func unknown(d *caddyfile.Dispenser, word, kind string, known []string) error {
	if near := spelling.Closest(word, known); near != "" {
		return d.Errf("%q is no %s: did you mean %s?", word, kind, near)
	}
	known = slices.Sorted(slices.Values(known))
	return d.Errf("%q is no %s: write one of %s", word, kind, strings.Join(known, ", "))
}

// guest reads the Caddyfile of a module of a namespace, whose name is the
// dispenser's current token, and returns its JSON.
func guest(d *caddyfile.Dispenser, namespace, kind string) ([]byte, error) {
	name := d.Val()
	names := guests(namespace)
	if !slices.Contains(names, name) {
		return nil, unknown(d, name, kind, names)
	}
	module, err := caddyfile.UnmarshalModule(d, namespace+"."+name)
	if err != nil {
		return nil, err
	}
	var warnings []caddyconfig.Warning
	raw := caddyconfig.JSONModuleObject(module, "module", name, &warnings)
	if len(warnings) > 0 {
		return nil, d.Errf("encoding %s: %s", name, warnings[0].Message)
	}
	return raw, nil
}

// guests returns the names of the modules in a namespace.
func guests(namespace string) []string {
	var names []string
	for _, info := range caddy.GetModules(namespace) {
		names = append(names, info.ID.Name())
	}
	return names
}
