package challengepages

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// readFormat reads what the table [language] says into f, which may have all of it
// already, and checks that nothing is left out.
func (file *messagesFile) readFormat(f *format) []error {
	t := file.language
	var errs []error
	fail := func(key string, err error) {
		errs = append(errs, file.errorf("language", key, "%s under [language]: %w", key, err))
	}
	if t.Name != "" {
		f.name = t.Name
		if _, err := checkText(t.Name); err != nil {
			fail("name", err)
		}
	}
	if t.Direction != "" {
		f.rightToLeft = t.Direction == "rtl"
		if t.Direction != "ltr" && t.Direction != "rtl" {
			fail("direction", fmt.Errorf("%q is no direction: write ltr or rtl", t.Direction))
		}
	}
	if t.Months != nil {
		f.months = t.Months
		if err := checkMonths(t.Months); err != nil {
			fail("months", err)
		}
	}
	for _, p := range []struct {
		key, text string
		into      *pattern
		names     []string
	}{
		{"date", t.Date, &f.date, []string{"day", "month", "year"}},
		{"clock", t.Clock, &f.clock, []string{"hour", "minute"}},
		{"clock_seconds", t.ClockSeconds, &f.exactClock, []string{"hour", "minute", "second"}},
		{"date_clock", t.DateClock, &f.dateClock, []string{"clock", "date"}},
	} {
		if p.text == "" {
			continue
		}
		parsed, err := timePattern(p.key, p.text, p.names)
		if err != nil {
			fail(p.key, err)
		}
		*p.into = parsed
	}
	for _, s := range []struct {
		key, text string
		into      *string
	}{{"thousands", t.Thousands, &f.thousands}, {"decimal", t.Decimal, &f.decimal}} {
		if s.text == "" {
			continue
		}
		*s.into = s.text
		if err := checkSeparator(s.text); err != nil {
			fail(s.key, err)
		}
	}
	if f.thousands != "" && f.thousands == f.decimal {
		fail("decimal", errors.New("it is the same as thousands, so that 1.500 could be read in two ways: write another"))
	}
	if missing := f.missing(); len(missing) > 0 && len(errs) == 0 {
		errs = append(errs, file.errorf("", "language", "[language] lacks %s", strings.Join(missing, ", ")))
	}
	return errs
}

// missing names what a format lacks.
func (f *format) missing() []string {
	var missing []string
	for _, m := range []struct {
		key  string
		lack bool
	}{
		{"name", f.name == ""}, {"months", f.months == nil}, {"date", f.date == nil}, {"clock", f.clock == nil},
		{"clock_seconds", f.exactClock == nil}, {"date_clock", f.dateClock == nil},
		{"thousands", f.thousands == ""}, {"decimal", f.decimal == ""},
	} {
		if m.lack {
			missing = append(missing, m.key)
		}
	}
	return missing
}

func checkSeparator(s string) error {
	r, size := utf8.DecodeRuneInString(s)
	if size != len(s) || unicode.IsControl(r) || unicode.IsDigit(r) || unicode.IsLetter(r) {
		return fmt.Errorf("%q is no separator: write one character, such as a point", s)
	}
	return nil
}

func checkMonths(months []string) error {
	if len(months) != 12 {
		return fmt.Errorf("there are %d: write the names of all twelve", len(months))
	}
	for _, m := range months {
		if _, err := checkText(m); err != nil {
			return fmt.Errorf("%q: %w", m, err)
		}
	}
	return nil
}

// timePattern reads how a day or time is written. A day is kept on one line.
func timePattern(key, text string, names []string) (pattern, error) {
	if key == "date" {
		text = strings.ReplaceAll(text, " ", "\u00a0")
	}
	p, err := checkText(text)
	if err != nil {
		return nil, err
	}
	return p, checkNames(p.names(), names, false)
}
