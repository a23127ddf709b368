package challengepages

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"

	"github.com/stepgate/stepgate/internal/spelling"
)

//go:embed messages
var builtInMessages embed.FS

// catalogue is all that the pages know of a language. It is never written to once
// it is loaded.
type catalogue struct {
	lang     Lang
	format   format
	messages map[string]message
}

// format is how a language writes numbers and times.
type format struct {
	// name is what the language calls itself.
	name string
	// rightToLeft is the direction in which it is written.
	rightToLeft bool
	months      []string
	// The patterns of a day, of a time of day, of one with seconds, and of both.
	date, clock, exactClock, dateClock pattern
	// The signs between groups of thousands and before the decimals.
	thousands, decimal string
}

// ownKeys are the beginnings of keys that an operator may add: words for rules and
// details of their own, and texts for templates of their own.
var ownKeys = []string{"rule.", "lead.rule.", "detail.", "text.purpose.", "own."}

// isOwnKey tells keys that a catalogue may have and no other needs.
func isOwnKey(key string) bool {
	return slices.ContainsFunc(ownKeys, func(prefix string) bool {
		return strings.HasPrefix(key, prefix) && key != prefix
	})
}

// builtIn gives the catalogues that come with the package, English and Indonesian.
var builtIn = sync.OnceValues(func() (map[Lang]*catalogue, error) {
	all := make(map[Lang]*catalogue, 2)
	for _, l := range []Lang{English, Indonesian} {
		name := messageFile(l)
		text, err := builtInMessages.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading built-in messages: %w", err)
		}
		f, err := parseMessages(name, string(text))
		if err != nil {
			return nil, fmt.Errorf("reading built-in messages: %w", err)
		}
		// English says which messages there are, and what is filled in to each.
		if all[l], err = f.catalogue(l, nil, all[English]); err != nil {
			return nil, fmt.Errorf("reading built-in messages: %w", err)
		}
	}
	return all, nil
})

func messageFile(l Lang) string { return "messages/" + string(l) + ".toml" }

// over gives a catalogue for l with what is in c, to be written to.
func (c *catalogue) over(l Lang) *catalogue {
	if c == nil {
		return &catalogue{lang: l, messages: map[string]message{}}
	}
	return &catalogue{lang: l, format: c.format, messages: maps.Clone(c.messages)}
}

// parseTag reads the name of a language, in the one spelling that there is for it.
func parseTag(s string) (language.Tag, error) {
	tag, err := language.Parse(s)
	switch {
	case err != nil || tag == language.Und:
		return language.Und, fmt.Errorf("%q is no language: write a BCP 47 tag, such as th or zh-Hans", s)
	case tag.String() != s:
		return language.Und, fmt.Errorf("%q is not how the tag of that language is written: write %s", s, tag)
	}
	return tag, nil
}

// didYouMean ends an error about a word that is not known.
func didYouMean(word string, known []string) string {
	if near := spelling.Closest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "remove it"
}
