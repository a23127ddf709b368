package challengepages

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// pattern is a text with placeholders, taken apart when it is loaded: a literal
// stands before each name and after the last.
type pattern []piece

// piece is a literal, or the name of a placeholder.
type piece struct{ literal, name string }

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

func parsePattern(s string) (pattern, error) {
	var p pattern
	literal := func(s string) error {
		if strings.ContainsAny(s, "{}") {
			return fmt.Errorf("it has a brace that belongs to no placeholder in %q: write them as {name}, in small letters", s)
		}
		if s != "" {
			p = append(p, piece{literal: s})
		}
		return nil
	}
	end := 0
	for _, at := range placeholder.FindAllStringIndex(s, -1) {
		if err := literal(s[end:at[0]]); err != nil {
			return nil, err
		}
		p = append(p, piece{name: s[at[0]+1 : at[1]-1]})
		end = at[1]
	}
	if err := literal(s[end:]); err != nil {
		return nil, err
	}
	return p, nil
}

// names gives the placeholders, sorted, each once.
func (p pattern) names() []string {
	var names []string
	for _, piece := range p {
		if piece.name != "" {
			names = append(names, piece.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// fill puts values in for the placeholders. Those that have none are left out.
func (p pattern) fill(values map[string]string) string {
	var b strings.Builder
	for _, piece := range p {
		b.WriteString(piece.literal)
		if piece.name != "" {
			b.WriteString(values[piece.name])
		}
	}
	return b.String()
}

// message is one text of a catalogue.
type message struct {
	// text is the message as it is written; of one with plurals the form "other".
	text  string
	other pattern
	// plurals are the other forms, nil for none. rules is the language whose rules
	// choose among them: that of the text, which may be the one fallen back to.
	plurals map[plural.Form]pattern
	rules   language.Tag
}

// counting gives the form that goes with a number.
func (m message) counting(n int) pattern {
	if p, ok := m.plurals[plural.Cardinal.MatchPlural(m.rules, n, 0, 0, 0, 0)]; ok {
		return p
	}
	return m.other
}

// all gives every form.
func (m message) all() []pattern {
	all := []pattern{m.other}
	for _, p := range m.plurals {
		all = append(all, p)
	}
	return all
}

// pluralForms are the names under which a catalogue has the forms of a message.
var pluralForms = map[string]plural.Form{
	"zero": plural.Zero, "one": plural.One, "two": plural.Two, "few": plural.Few, "many": plural.Many, "other": plural.Other,
}

// usedForms gives the names of the forms that a language has for whole numbers of
// the size that a page counts to, sorted.
func usedForms(l language.Tag) []string {
	var used []string
	for name, form := range pluralForms {
		for n := range 120 {
			if name == "other" || plural.Cardinal.MatchPlural(l, n, 0, 0, 0, 0) == form {
				used = append(used, name)
				break
			}
		}
	}
	slices.Sort(used)
	return used
}
