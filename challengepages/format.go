package challengepages

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// plainAmount is a decimal number in the one spelling that can be read in one way.
// Three decimals cannot: "1.234" is above a thousand in Indonesia. Fifteen digits
// before the point are more than any account holds.
var plainAmount = regexp.MustCompile(`^(0|[1-9][0-9]{0,14})(?:\.([0-9]{1,2}))?$`)

// money writes a plain decimal number as an amount, digit for digit, and tells
// whether it was one. It computes nothing: what is shown is what will be sent.
func (f *format) money(currency, value string) (string, bool) {
	m := plainAmount.FindStringSubmatch(value)
	if m == nil {
		return "", false
	}
	var b strings.Builder
	if currency == "IDR" {
		b.WriteString("Rp")
	} else {
		b.WriteString(currency + "\u00a0")
	}
	for i, digit := range m[1] {
		if i > 0 && (len(m[1])-i)%3 == 0 {
			b.WriteString(f.thousands)
		}
		b.WriteRune(digit)
	}
	if m[2] != "" {
		b.WriteString(f.decimal + m[2])
	}
	return b.String(), true
}

// clock tells a time of day: "14.05 WIB" in Indonesian, "14:05 WIB" in English.
func (w *words) clock(t time.Time) string { return w.timeOf(w.format.clock, t) }

// exactClock is clock with seconds, for waits of less than a minute or two.
func (w *words) exactClock(t time.Time) string { return w.timeOf(w.format.exactClock, t) }

func (w *words) timeOf(p pattern, t time.Time) string {
	local := w.in(t)
	return p.fill(map[string]string{
		"hour": local.Format("15"), "minute": local.Format("04"), "second": local.Format("05"),
	}) + "\u00a0" + w.zone(t)
}

// date tells a day: "3 Januari 2026", "3 January 2026".
func (w *words) date(t time.Time) string {
	t = w.in(t)
	return w.format.date.fill(map[string]string{
		"day": strconv.Itoa(t.Day()), "month": w.format.months[t.Month()-1], "year": strconv.Itoa(t.Year()),
	})
}

// dateClock tells day and time of day.
func (w *words) dateClock(t time.Time) string {
	return w.format.dateClock.fill(map[string]string{"date": w.date(t), "clock": w.clock(t)})
}

func (w *words) in(t time.Time) time.Time {
	if w.location == nil {
		return t.UTC()
	}
	return t.In(w.location)
}

// zone names the zone that t is told in. Players know the names of Indonesia's
// three zones; every other is told as its distance from UTC, which nobody can take
// for another.
func (w *words) zone(t time.Time) string {
	name, offset := w.in(t).Zone()
	switch name {
	case "WIB", "WITA", "WIT":
		return name
	}
	if offset == 0 {
		return "UTC"
	}
	sign := '+'
	if offset < 0 {
		sign, offset = '-', -offset
	}
	minutes := offset / 60
	if minutes%60 == 0 {
		return fmt.Sprintf("UTC%c%d", sign, minutes/60)
	}
	return fmt.Sprintf("UTC%c%d:%02d", sign, minutes/60, minutes%60)
}

// grouped sets a key in groups of four, for the eye.
func grouped(key string) string {
	var b strings.Builder
	for i, r := range []rune(key) {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// unbroken keeps a phone number on one line.
func unbroken(phone string) string { return strings.ReplaceAll(phone, " ", "\u00a0") }
