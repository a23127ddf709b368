package challengepages

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Limits of the files of a folder of overrides, in bytes.
const (
	maxMessagesFile = 128 << 10
	maxTemplateFile = 32 << 10
	maxStyleFile    = 8 << 10
)

const (
	styleFile = "style.css"
	// referenceFile is the built-in style as it is exported. It is not read: the
	// operator's style is added to the built-in one.
	referenceFile = "builtin.css"
)

// sources is what the pages of a brand are made from: what is built in, and what an
// operator puts over it.
type sources struct {
	catalogues map[Lang]*catalogue
	// templates holds the text of each file, overridden names those of the operator.
	templates  map[string]string
	overridden map[string]bool
	// style is added to the built-in one.
	style string
}

// readSources reads what is built in, and o over it unless it is nil.
func readSources(o fs.FS) (*sources, error) {
	catalogues, err := builtIn()
	if err != nil {
		return nil, err
	}
	s := &sources{catalogues: maps.Clone(catalogues), templates: map[string]string{}, overridden: map[string]bool{}}
	names, err := fs.Glob(embedded, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("listing templates: %w", err)
	}
	for _, name := range names {
		text, err := embedded.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading template: %w", err)
		}
		s.templates[path.Base(name)] = string(text)
	}
	if o == nil {
		return s, nil
	}
	return s, s.override(o)
}

// override reads a folder. What is in none of its places is an error: a file that
// is not read looks like one that has no effect.
func (s *sources) override(o fs.FS) error {
	entries, err := listFolder(o, ".")
	if err != nil {
		return err
	}
	known := []string{"messages", "templates", styleFile, referenceFile}
	for _, name := range entries {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%s: a folder of pages has messages/, templates/ and %s only: %s", name, styleFile, didYouMean(name, known))
		}
	}
	if slices.Contains(entries, "messages") {
		err = s.overrideMessages(o)
	}
	if slices.Contains(entries, "templates") {
		err = errors.Join(err, s.overrideTemplates(o))
	}
	if slices.Contains(entries, styleFile) {
		text, readErr := readFile(o, styleFile, maxStyleFile)
		s.style = text
		err = errors.Join(err, readErr, checkStyle(text))
	}
	return err
}

// listFolder lists a folder without hidden files, which tools keep there.
func listFolder(o fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(o, dir)
	if err != nil {
		return nil, fmt.Errorf("listing folder: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (s *sources) overrideMessages(o fs.FS) error {
	names, err := listFolder(o, "messages")
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		tag, ok := strings.CutSuffix(name, ".toml")
		if !ok {
			errs = append(errs, fmt.Errorf("messages/%s: messages are in files such as messages/th.toml: rename it, or remove it", name))
			continue
		}
		c, err := s.readCatalogue(o, Lang(tag))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.catalogues[c.lang] = c
	}
	return errors.Join(errs...)
}

// readCatalogue reads an operator's catalogue. One for a built-in language lies over
// that; another has to be whole, or lies over the one that it names.
func (s *sources) readCatalogue(o fs.FS, l Lang) (*catalogue, error) {
	all, err := builtIn()
	if err != nil {
		return nil, err
	}
	text, err := readFile(o, messageFile(l), maxMessagesFile)
	if err != nil {
		return nil, err
	}
	f, err := parseMessages(messageFile(l), text)
	if err != nil {
		return nil, err
	}
	base := all[l]
	if fallback := f.language.Fallback; fallback != "" {
		switch {
		case base != nil:
			return nil, f.errorf("language", "fallback", "%s is built in, and what is not in this file stays as it is: remove fallback", l)
		case all[fallback] == nil:
			return nil, f.errorf("language", "fallback", "there is no built-in language %q to fall back to: write id or en", string(fallback))
		}
		base = all[fallback].over(l)
		base.format.name = "" // nobody would find their language under the other's name
	}
	return f.catalogue(l, base, all[English])
}

func (s *sources) overrideTemplates(o fs.FS) error {
	names, err := listFolder(o, "templates")
	if err != nil {
		return err
	}
	known := slices.Collect(maps.Keys(s.templates))
	var errs []error
	for _, name := range names {
		if _, ok := s.templates[name]; !ok {
			errs = append(errs, fmt.Errorf("templates/%s: there is no template of that name to override: %s", name, didYouMean(name, known)))
			continue
		}
		text, err := readFile(o, "templates/"+name, maxTemplateFile)
		if err == nil {
			err = checkTemplateText(name, text)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.templates[name], s.overridden[name] = text, true
	}
	return errors.Join(errs...)
}

// readFile reads a file, and not much more than it may have.
func readFile(o fs.FS, name string, limit int64) (string, error) {
	f, err := o.Open(name)
	if err != nil {
		return "", fmt.Errorf("opening file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(text)) > limit {
		return "", fmt.Errorf("%s: it has more than %d bytes: make it smaller", name, limit)
	}
	return string(text), nil
}

var styleFaults = []struct {
	pattern *regexp.Regexp
	what    string
}{
	// The style stands within <style>, whose end no quotes hold back.
	{regexp.MustCompile(`<`), `a "<", which could end the style: write it as \3c`},
	{regexp.MustCompile(`(?i)@import`), "an @import, which the page's policy blocks: put the other file's text here"},
	{regexp.MustCompile(`(?i)url\(\s*["']?\s*(?:[^d"'\s]|d[^a])`), "a url() that is loaded, which the page's policy blocks: inline it as a data: URL"},
}

func checkStyle(text string) error {
	for i, line := range strings.Split(text, "\n") {
		for _, f := range styleFaults {
			if f.pattern.MatchString(line) {
				return fmt.Errorf("%s:%d: it has %s", styleFile, i+1, f.what)
			}
		}
	}
	return nil
}

// BuiltIn returns the files that the pages are made from by default, by their names
// in a folder of overrides: an operator starts from these. The style is under a name
// of its own, since style.css of a folder is added to it.
func BuiltIn() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, l := range []Lang{English, Indonesian} {
		text, err := builtInMessages.ReadFile(messageFile(l))
		if err != nil {
			return nil, fmt.Errorf("reading messages: %w", err)
		}
		files[messageFile(l)] = text
	}
	names, err := fs.Glob(embedded, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("listing templates: %w", err)
	}
	for _, name := range append(names, "templates/style.css", "templates/more.css") {
		text, err := embedded.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading template: %w", err)
		}
		if path.Ext(name) == ".css" {
			files[referenceFile] = append(files[referenceFile], text...)
			continue
		}
		files[name] = text
	}
	return files, nil
}
