package challengepages

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// Lang is a language that the pages are written in.
type Lang string

// The languages there are.
const (
	Indonesian Lang = "id"
	English    Lang = "en"
)

// maxAcceptLanguage is how much of an Accept-Language header is looked at, in
// bytes. Browsers send some dozens.
const maxAcceptLanguage = 256

// tables holds the words of each language. It is never written to.
var tables = map[Lang]map[string]string{
	Indonesian: indonesianWords,
	English:    englishWords,
}

// ownName is what a language calls itself.
var ownName = map[Lang]string{Indonesian: "Bahasa Indonesia", English: "English"}

func checkLanguages(offered []Lang) ([]Lang, error) {
	if len(offered) == 0 {
		return []Lang{Indonesian, English}, nil
	}
	for i, l := range offered {
		if _, ok := tables[l]; !ok {
			return nil, fmt.Errorf("checking languages: %q is not one of id, en", string(l))
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

// other gives the language to switch to from l, and whether there is one. With two
// languages one button is enough.
func (r *Renderer) other(l Lang) (Lang, bool) {
	for _, o := range r.languages {
		if o != l {
			return o, true
		}
	}
	return "", false
}
