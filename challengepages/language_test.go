package challengepages

import (
	"slices"
	"strings"
	"testing"
)

func TestNegotiatePicksWhatTheBrowserAsksFor(t *testing.T) {
	r := newRenderer(t)
	for header, want := range map[string]Lang{
		"":                              Indonesian,
		"*":                             Indonesian,
		"id":                            Indonesian,
		"in-ID":                         Indonesian, // the old code for Indonesian
		"id-ID,id;q=0.9,en;q=0.8":       Indonesian,
		"en-US,en;q=0.9,id;q=0.8":       English,
		"en-GB":                         English,
		"EN":                            English,
		"zh-CN,zh;q=0.9,en;q=0.8":       English,
		"zh-CN,zh;q=0.9":                Indonesian, // neither is offered: the first
		"fr, de;q=0.9, id;q=0.1":        Indonesian,
		"id;q=0.2, en;q=0.7":            English,
		"id;q=0, en":                    English,
		"not a language;;;q=x":          Indonesian,
		"\x00\xff":                      Indonesian,
		strings.Repeat("en-US,", 1_000): English,
		strings.Repeat("a", 1_000_000):  Indonesian,
		strings.Repeat("fr,", 84) + "en-US-and-much-that-was-cut": Indonesian,
	} {
		if got := r.Negotiate(header); got != want {
			t.Errorf("Negotiate(%.40q) = %s, want %s", header, got, want)
		}
	}
	englishFirst := newRenderer(t, func(b *Brand) { b.Languages = []Lang{English, Indonesian} })
	if got := englishFirst.Negotiate("fr"); got != English {
		t.Errorf("Negotiate(fr) = %s with English first", got)
	}
}

func FuzzNegotiateGivesAnOfferedLanguage(f *testing.F) {
	f.Add("id-ID,id;q=0.9,en;q=0.8")
	f.Add("en;q=0.000000000001")
	f.Add(strings.Repeat("-", 300))
	r := newRenderer(f)
	f.Fuzz(func(t *testing.T, header string) {
		if got := r.Negotiate(header); !slices.Contains([]Lang{Indonesian, English}, got) {
			t.Fatalf("Negotiate(%q) = %q", header, got)
		}
	})
}

func TestExplicitChoiceHasToBeOffered(t *testing.T) {
	r := newRenderer(t, func(b *Brand) { b.Languages = []Lang{English} })
	for s, want := range map[string]bool{"en": true, "id": false, "EN": false, "": false, "en\x00": false} {
		if got, ok := r.Lang(s); got != English || ok != want {
			t.Errorf("Lang(%q) = %s, %v, want en, %v", s, got, ok, want)
		}
	}
}
