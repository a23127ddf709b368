package challengepages

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// Lang is a language that the pages are written in, as its BCP 47 tag.
type Lang string

// The languages that come with the package. [Brand.Overrides] adds others.
const (
	Indonesian Lang = "id"
	English    Lang = "en"
)

// maxAcceptLanguage is how much of an Accept-Language header is looked at, in
// bytes. Browsers send some dozens.
const maxAcceptLanguage = 256

// checkLanguages gives the languages to offer: those that are named, else
// Indonesian, English and what else there is a catalogue of.
func checkLanguages(offered []Lang, all map[Lang]*catalogue) ([]Lang, error) {
	if len(offered) == 0 {
		offered = []Lang{Indonesian, English}
		for _, l := range slices.Sorted(maps.Keys(all)) {
			if !slices.Contains(offered, l) {
				offered = append(offered, l)
			}
		}
		return offered, nil
	}
	for i, l := range offered {
		if _, ok := all[l]; !ok {
			var known []string
			for _, k := range slices.Sorted(maps.Keys(all)) {
				known = append(known, string(k))
			}
			return nil, fmt.Errorf("checking languages: there are no messages for %q: write one of %s, or add %s to the folder of pages",
				string(l), strings.Join(known, ", "), messageFile(l))
		}
		if slices.Contains(offered[:i], l) {
			return nil, fmt.Errorf("checking languages: %q is named twice", string(l))
		}
	}
	return slices.Clone(offered), nil
}

func newMatcher(offered []Lang) language.Matcher {
	tags := make([]language.Tag, len(offered))
	for i, l := range offered {
		tags[i] = language.Make(string(l))
	}
	return language.NewMatcher(tags)
}

// Negotiate picks the language for a browser from its Accept-Language header (RFC
// 9110, section 12.5.4); the brand's first language where none fits or the header
// is of no use. It looks at the first 256 bytes, so its cost is bounded.
func (r *Renderer) Negotiate(acceptLanguage string) Lang {
	if len(acceptLanguage) > maxAcceptLanguage {
		acceptLanguage = acceptLanguage[:maxAcceptLanguage]
		// What stands after the last comma may have been cut in two.
		acceptLanguage = acceptLanguage[:strings.LastIndexByte(acceptLanguage, ',')+1]
		acceptLanguage = strings.TrimRight(acceptLanguage, ", ")
	}
	tags, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil || len(tags) == 0 {
		return r.languages[0]
	}
	_, i, confidence := r.matcher.Match(tags...)
	if confidence == language.No {
		return r.languages[0]
	}
	return r.languages[i]
}

// Lang gives the language that a player chose, and whether it is offered.
func (r *Renderer) Lang(s string) (Lang, bool) {
	if i := slices.Index(r.languages, Lang(s)); i >= 0 {
		return r.languages[i], true
	}
	return r.languages[0], false
}

// languageSwitch leads to the same page in other languages: by a form where the
// page belongs to a challenge, else by links.
type languageSwitch struct {
	Others []otherLanguage
	// Action and Challenge are set for a form.
	Action, Challenge string
}

// otherLanguage is a language under the name that it has for itself.
type otherLanguage struct {
	Lang Lang
	Name string
}

// linkSwitch gives the language switch of a page that a GET shows again; nil where
// there is but one language.
func (r *Renderer) linkSwitch(l Lang) *languageSwitch {
	var others []otherLanguage
	for _, o := range r.languages {
		if o != l {
			others = append(others, otherLanguage{Lang: o, Name: r.catalogues[o].format.name})
		}
	}
	if len(others) == 0 {
		return nil
	}
	return &languageSwitch{Others: others}
}

// formSwitch gives the language switch of a challenge.
func (r *Renderer) formSwitch(l Lang, action, challenge string) *languageSwitch {
	s := r.linkSwitch(l)
	if s != nil {
		s.Action, s.Challenge = action, challenge
	}
	return s
}
