package challengepages

import (
	"errors"
	"fmt"
	"html"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// words speaks one language while one page is rendered. A message is plain text
// with placeholders in braces: "Sent to {phone}."
type words struct {
	*catalogue
	currency string
	brand    string
	location *time.Location
	// err collects the messages that were asked for and do not exist, so that
	// building a view needs no error at every word. Render returns it.
	err error
}

// text gives a message that has no placeholders, as plain text.
func (w *words) text(key string) string { return w.message(key).text }

func (w *words) message(key string) message {
	m, ok := w.messages[key]
	if !ok {
		w.err = errors.Join(w.err, fmt.Errorf("finding message %q in %q: there is none", key, string(w.lang)))
	}
	return m
}

// has tells whether there is a message of that key.
func (w *words) has(key string) bool {
	_, ok := w.messages[key]
	return ok
}

// html gives a message with its placeholders filled: args are names and values by
// turns. A string is taken for untrusted: it is made [shown], escaped, and isolated
// by <bdi>, so that it can neither be markup nor reorder the sentence. An int is a
// number, and chooses the plural form; a template.HTML is ours and goes in as it is.
func (w *words) html(key string, args ...any) template.HTML {
	m := w.message(key)
	p := m.other
	values := make(map[string]string, len(args)/2)
	for i := 0; i+1 < len(args); i += 2 {
		name, _ := args[i].(string)
		switch v := args[i+1].(type) {
		case template.HTML:
			values[name] = string(v)
		case int:
			values[name] = strconv.Itoa(v)
			p = m.counting(v)
		case string:
			values[name] = "<bdi>" + html.EscapeString(shown(v)) + "</bdi>"
		}
	}
	var b strings.Builder
	for _, piece := range p {
		b.WriteString(html.EscapeString(piece.literal))
		if piece.name == "" {
			continue
		}
		value, ok := values[piece.name]
		if !ok {
			w.err = errors.Join(w.err, fmt.Errorf("filling message %q in %q: no value for %q", key, string(w.lang), piece.name))
		}
		b.WriteString(value)
	}
	return template.HTML(b.String())
}

// strong marks a text of our own, such as a time, as what matters in a sentence.
func strong(s string) template.HTML { return bold(template.HTML(html.EscapeString(s))) }

// bold does the same with markup of ours.
func bold(h template.HTML) template.HTML { return "<b>" + h + "</b>" }
