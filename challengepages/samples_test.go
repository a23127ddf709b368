package challengepages

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// A folder is tried on the samples. A message that none of them has, or an outcome,
// would be tried on players.
func TestSamplesAskForEveryMessage(t *testing.T) {
	r := newRenderer(t)
	marked := builtInCatalogue(t, English).over(English)
	for key, m := range marked.messages {
		m.text = "⟦" + key + "⟧"
		m.other = append(pattern{{literal: m.text}}, m.other...)
		m.plurals = nil
		marked.messages[key] = m
	}
	r.catalogues = map[Lang]*catalogue{English: marked}
	r.languages = []Lang{English}
	var pages strings.Builder
	for _, s := range samples() {
		pages.WriteString(render(t, r, English, s.page))
	}
	for _, key := range slices.Sorted(maps.Keys(marked.messages)) {
		if !isOwnKey(key) && !strings.HasPrefix(key, "text.") && !strings.Contains(pages.String(), "⟦"+key+"⟧") {
			t.Errorf("no sample has the message %q: add one to samples.go", key)
		}
	}
}

func TestSamplesShowEveryTemplate(t *testing.T) {
	pages := map[string]bool{}
	for _, s := range samples() {
		pages[s.page.templateName()+".html"] = true
	}
	all, err := readSources(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name := range all.templates {
		if !pages[name] && name != "layout.html" {
			t.Errorf("no sample shows %s: add one to samples.go", name)
		}
	}
}

func TestBuiltInTextsFitAnSMS(t *testing.T) {
	for _, l := range []Lang{Indonesian, English} {
		if err := builtInCatalogue(t, l).checkTexts(strings.Repeat("W", shortName), "USD"); err != nil {
			t.Error(err)
		}
	}
}
