package challengepages

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/internal/gsm7"
)

// maxChallenge is what a challenge may take on the wire, compressed and with its
// logo: what a phone on a slow network loads before the player can do anything.
const maxChallenge = 10 << 10

// tryOverrides renders every page in every language, so that a template or text
// that does not work is found when it is loaded and not by a player. b is the brand
// that r was made from.
func (r *Renderer) tryOverrides(b Brand) error {
	var errs []error
	for _, l := range slices.Sorted(maps.Keys(r.catalogues)) {
		errs = append(errs, r.catalogues[l].checkTexts(shorten(gsm7.From(r.brand.Name), shortName), r.currency))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// What the gate needs is in the built-in pages, with a language switch if there
	// is one.
	b.Overrides, b.Languages = nil, nil
	if len(r.languages) == 1 {
		b.Languages = []Lang{English}
	}
	plain, err := New(b)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(nil)
	for _, s := range samples() {
		want, err := plain.Render(English, s.page)
		if err != nil {
			return fmt.Errorf("trying the page %q: %w", s.name, err)
		}
		forms := formFields(want)
		for _, l := range r.languages {
			if err := r.try(l, s, forms, z); err != nil {
				return err
			}
		}
	}
	return nil
}

// try renders one page and compares its forms with those of the built-in one. z
// compresses; a new one for each page would be most of the work.
func (r *Renderer) try(l Lang, s sample, builtIn [][]string, z *gzip.Writer) error {
	template := "templates/" + s.page.templateName() + ".html"
	page, err := r.Render(l, s.page)
	if err != nil {
		return fmt.Errorf("%w (trying the page %q in %s)", templateError(s.page.templateName()+".html", err), s.name, l)
	}
	have := formFields(page)
	for _, form := range builtIn {
		if !slices.ContainsFunc(have, func(fields []string) bool { return containsAll(fields, form) }) {
			return fmt.Errorf("%s: the page %q lacks a form with the fields %s, which the gate needs: keep it as in the built-in template",
				template, s.name, strings.Join(form, ", "))
		}
	}
	if _, ok := s.page.(Challenge); !ok {
		return nil
	}
	if err := checkMarkers(page); err != nil {
		return fmt.Errorf("%s: the page %q %w", template, s.name, err)
	}
	size, err := compressedSize(page, z)
	if err != nil {
		return err
	}
	if size > maxChallenge {
		return fmt.Errorf("%s: the page %q in %s takes %d bytes compressed, and phones on slow networks get at most %d: shorten style.css, the template or the logo",
			template, s.name, l, size, maxChallenge)
	}
	return nil
}

var (
	ourName  = regexp.MustCompile(`\sname="?(stepgate_[a-z]+)`)
	formBody = regexp.MustCompile(`(?s)<form\b.*?</form>`)
	anyName  = regexp.MustCompile(`\sname="?([^">\s]+)`)
)

// formFields lists the names of the fields that are ours, for each form of a page.
func formFields(page []byte) [][]string {
	var forms [][]string
	for _, form := range formBody.FindAll(page, -1) {
		var names []string
		for _, m := range ourName.FindAllSubmatch(form, -1) {
			names = append(names, string(m[1]))
		}
		forms = append(forms, names)
	}
	return forms
}

func containsAll(have, want []string) bool {
	return !slices.ContainsFunc(want, func(name string) bool { return !slices.Contains(have, name) })
}

// checkMarkers tells whether each form of a challenge begins with the field by which
// the gate knows its own forms from those of the site.
func checkMarkers(page []byte) error {
	for _, form := range formBody.FindAll(page, -1) {
		if m := anyName.FindSubmatch(form); m == nil || string(m[1]) != FieldChallenge {
			return fmt.Errorf("has a form that does not begin with the field %s, by which the gate knows it: put it first", FieldChallenge)
		}
	}
	return nil
}

func compressedSize(page []byte, z *gzip.Writer) (int, error) {
	var wire bytes.Buffer
	z.Reset(&wire)
	if _, err := z.Write(page); err != nil {
		return 0, fmt.Errorf("compressing page: %w", err)
	}
	if err := z.Close(); err != nil {
		return 0, fmt.Errorf("compressing page: %w", err)
	}
	return wire.Len(), nil
}

// The most that an SMS text has to have room for: R1 wants the amount and the end
// of the payee's number in it, whatever else is left out. The longest amount may be
// there without the payee.
var (
	leastWhat     = smsWhat{amount: "Rp999.999.999", payee: "*7890"}
	longestAmount = "999999999999999.99"
)

const (
	longestCode    = "00000000"
	longestMinutes = 60
)

// longest gives the text of a code SMS for the number of minutes, and by that the
// plural form, with which it is longest.
func (c *catalogue) longest(brand, code string, what smsWhat) string {
	longest, most := "", -1
	for minutes := longestMinutes; minutes > 0; minutes-- {
		text := c.smsText(brand, code, what, minutes)
		if n, _ := gsm7.Septets(text); n > most {
			longest, most = text, n
		}
	}
	return longest
}

// checkTexts checks the texts that are sent by SMS: their alphabet, and that they
// are one part of a message even with a long code.
func (c *catalogue) checkTexts(brand, currency string) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(c.messages)) {
		if !strings.HasPrefix(key, "text.") {
			continue
		}
		for _, p := range c.messages[key].all() {
			for _, piece := range p {
				if bad := strings.TrimFunc(piece.literal, isGSM); bad != "" {
					errs = append(errs, fmt.Errorf("%s: message %q has %q, which is not in the alphabet of SMS (GSM-7): a text with it would be cut in parts; write it without, or in another script",
						messageFile(c.lang), key, firstRune(bad)))
				}
			}
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	longest, _ := c.format.money(currency, longestAmount)
	longest = gsm7.From(longest)
	for _, test := range []struct {
		key  string
		what smsWhat
	}{{"text.code", smsWhat{}}, {"text.code.for", smsWhat{amount: longest}}, {"text.code.for.payee", leastWhat}} {
		if n, _ := gsm7.Septets(c.longest(brand, longestCode, test.what)); n > gsm7.MaxSeptets {
			errs = append(errs, fmt.Errorf("%s: message %q takes %d characters of an SMS with a long code, and %d fit: shorten it by %d",
				messageFile(c.lang), test.key, n, gsm7.MaxSeptets, n-gsm7.MaxSeptets))
		}
	}
	for _, kind := range toldActivities() {
		text := c.noticeText("text.notice.short", "", NoticeText{Kind: kind, Link: strings.Repeat("x", maxNoticeLink)})
		if n, _ := gsm7.Septets(text); n > gsm7.MaxSeptets {
			errs = append(errs, fmt.Errorf("%s: message %q takes %d characters of an SMS with a long link, and %d fit: shorten it by %d",
				messageFile(c.lang), "text.notice."+string(kind), n, gsm7.MaxSeptets, n-gsm7.MaxSeptets))
		}
	}
	return errors.Join(errs...)
}

func isGSM(r rune) bool {
	_, ok := gsm7.Septets(string(r))
	return ok
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}
