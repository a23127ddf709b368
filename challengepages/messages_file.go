package challengepages

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// maxMessage is the longest that a message may be, in characters: four lines of a
// small screen.
const maxMessage = 400

// messagesFile is a catalogue file as it is written.
type messagesFile struct {
	name, text string
	language   languageTable
	messages   map[string]any
}

// languageTable is what stands under [language].
type languageTable struct {
	Name         string   `toml:"name"`
	Fallback     Lang     `toml:"fallback"`
	Direction    string   `toml:"direction"`
	Months       []string `toml:"months"`
	Date         string   `toml:"date"`
	Clock        string   `toml:"clock"`
	ClockSeconds string   `toml:"clock_seconds"`
	DateClock    string   `toml:"date_clock"`
	Thousands    string   `toml:"thousands"`
	Decimal      string   `toml:"decimal"`
}

var (
	tableNames   = []string{"language", "messages"}
	languageKeys = []string{"name", "fallback", "direction", "months", "date", "clock", "clock_seconds", "date_clock", "thousands", "decimal"}
)

func parseMessages(name, text string) (*messagesFile, error) {
	var doc struct {
		Language languageTable  `toml:"language"`
		Messages map[string]any `toml:"messages"`
	}
	meta, err := toml.Decode(text, &doc)
	if parse, ok := errors.AsType[toml.ParseError](err); ok {
		return nil, fmt.Errorf("%s:%d: %s", name, parse.Position.Line, parse.Message)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	f := &messagesFile{name: name, text: text, language: doc.Language, messages: doc.Messages}
	var errs []error
	for _, key := range meta.Keys() {
		switch {
		case !slices.Contains(tableNames, key[0]) && len(key) == 1:
			errs = append(errs, f.errorf("", key[0], "there is no %q here, only the tables [language] and [messages]: %s", key[0], didYouMean(key[0], tableNames)))
		case key[0] == "language" && len(key) == 2 && !slices.Contains(languageKeys, key[1]):
			errs = append(errs, f.errorf("language", key[1], "[language] has no %q: %s", key[1], didYouMean(key[1], languageKeys)))
		}
	}
	return f, errors.Join(errs...)
}

// errorf makes an error that says where a key of a table stands.
func (f *messagesFile) errorf(table, key, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", f.name, f.line(table, key), fmt.Errorf(format, args...))
}

// line finds the line of a key, or that of its table, or the first: the decoder
// tells positions of syntax errors only.
func (f *messagesFile) line(table, key string) int {
	at := regexp.MustCompile(`^\s*\[?["']?` + regexp.QuoteMeta(key) + `["']?\s*[=\]]`)
	current, found := "", 1
	for i, line := range strings.Split(f.text, "\n") {
		if s := strings.TrimSpace(line); strings.HasPrefix(s, "[") {
			current, _, _ = strings.Cut(strings.TrimPrefix(s, "["), "]")
			if current == table {
				found = i + 1
			}
		}
		if current == table && at.MatchString(line) || table == "" && at.MatchString(line) {
			return i + 1
		}
	}
	return found
}

// catalogue gives the catalogue of l that has what is in the file, and for the rest
// what is in base, if there is one. It is checked against reference, which says
// what messages there are; nil for the reference itself.
func (f *messagesFile) catalogue(l Lang, base, reference *catalogue) (*catalogue, error) {
	tag, err := parseTag(string(l))
	if err != nil {
		return nil, fmt.Errorf("naming %s: %w", f.name, err)
	}
	c := base.over(l)
	errs := f.readFormat(&c.format)
	for _, key := range slices.Sorted(maps.Keys(f.messages)) {
		m, err := f.message(key, tag, reference)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c.messages[key] = m
	}
	if missing := f.missing(c, reference); len(missing) > 0 {
		errs = append(errs, f.errorf("", "messages", `messages are missing: write them, or fallback = "en" under [language]: %s`, strings.Join(missing, ", ")))
	}
	return c, errors.Join(errs...)
}

// missing lists the messages that every language needs and neither the file nor what
// it lies over has.
func (f *messagesFile) missing(c, reference *catalogue) []string {
	if reference == nil {
		return nil
	}
	var missing []string
	for key := range reference.messages {
		_, has := c.messages[key]
		if _, faulty := f.messages[key]; !has && !faulty {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	return missing
}

// message reads and checks one message.
func (f *messagesFile) message(key string, tag language.Tag, reference *catalogue) (message, error) {
	fail := func(format string, args ...any) (message, error) {
		return message{}, f.errorf("messages", key, "message %q: "+format, append([]any{key}, args...)...)
	}
	var want []string
	if reference != nil {
		known, ok := reference.messages[key]
		if !ok && !isOwnKey(key) {
			return fail("there is none of that name: %s", didYouMean(key, slices.Collect(maps.Keys(reference.messages))))
		}
		want = known.other.names()
	}
	forms := map[string]string{}
	switch v := f.messages[key].(type) {
	case string:
		forms["other"] = v
	case map[string]any:
		if err := readForms(v, tag, forms); err != nil {
			return fail("%w", err)
		}
	default:
		return fail(`it is neither a text nor a table of plural forms: write "%s" = "…"`, key)
	}
	m := message{text: forms["other"], rules: tag}
	for name, text := range forms {
		p, err := checkText(text)
		if err != nil {
			return fail("%w", err)
		}
		if reference != nil {
			// A form of one number may say it in words.
			if err := checkNames(p.names(), want, name != "other"); err != nil {
				return fail("%w", err)
			}
		}
		if name == "other" {
			m.other = p
			continue
		}
		if m.plurals == nil {
			m.plurals = map[plural.Form]pattern{}
		}
		m.plurals[pluralForms[name]] = p
	}
	return m, nil
}

// readForms reads the plural forms of a message, which must be those that its
// language has.
func readForms(table map[string]any, tag language.Tag, into map[string]string) error {
	used := usedForms(tag)
	for _, name := range slices.Sorted(maps.Keys(table)) {
		text, ok := table[name].(string)
		if _, known := pluralForms[name]; !known || !ok {
			return fmt.Errorf(`%q is no plural form: put a key with dots in quotes, and write plural forms as { one = "…", other = "…" }`, name)
		}
		if !slices.Contains(used, name) {
			return fmt.Errorf("%s has no plural form %q: write %s", tag, name, strings.Join(used, ", "))
		}
		into[name] = text
	}
	for _, name := range used {
		if _, ok := into[name]; !ok {
			return fmt.Errorf("the plural form %q is missing: %s has %s", name, tag, strings.Join(used, ", "))
		}
	}
	return nil
}

var markup = regexp.MustCompile(`<[A-Za-z/!?]|&(?:#|[A-Za-z]+;)`)

// checkText checks what every text has to be: there, plain, and of one line.
func checkText(s string) (pattern, error) {
	switch {
	case strings.TrimSpace(s) == "":
		return nil, errors.New("it is empty: write a text, or remove the line")
	case markup.MatchString(s):
		return nil, fmt.Errorf("it has HTML, at %q, and messages are plain text: leave it out", markup.FindString(s))
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return nil, errors.New("it has a line end or another control character: write one line")
	case utf8.RuneCountInString(s) > maxMessage:
		return nil, fmt.Errorf("it has %d characters: at most %d fit a small screen", utf8.RuneCountInString(s), maxMessage)
	}
	return parsePattern(s)
}

// checkNames compares placeholders with those that are filled in. A plural form of
// its own may leave some out.
func checkNames(have, want []string, some bool) error {
	for _, name := range have {
		if !slices.Contains(want, name) {
			if len(want) == 0 {
				return fmt.Errorf("it has the placeholder {%s}, and nothing is filled in to it: remove it", name)
			}
			return fmt.Errorf("it has the placeholder {%s}, for which there is no value: it takes {%s}", name, strings.Join(want, "}, {"))
		}
	}
	for _, name := range want {
		if !some && !slices.Contains(have, name) {
			return fmt.Errorf("it lacks the placeholder {%s}: put it where the value belongs", name)
		}
	}
	return nil
}
