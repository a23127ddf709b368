package caddymodule

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/sms"
)

// aliasPlayer is a line of an import: the names under which the site knows a player.
type aliasPlayer struct {
	Subject string `json:"subject"`
	Login   string `json:"login,omitempty"`
	Email   string `json:"email,omitempty"`
	Phone   string `json:"phone,omitempty"`
}

// columns are the names of a line's fields.
var columns = []string{"subject", "login", "email", "phone"}

// fields are those of a line, by the names of its columns.
func (p *aliasPlayer) fields() map[string]*string {
	return map[string]*string{"subject": &p.Subject, "login": &p.Login, "email": &p.Email, "phone": &p.Phone}
}

// The formats of an import.
const (
	formatCSV   = "csv"
	formatJSONL = "jsonl"
)

const (
	// maxAliasLine is the longest JSON line, in bytes.
	maxAliasLine = 1 << 16
	// maxMistakes is how many lines with a mistake are told at once.
	maxMistakes = 20
)

// readAliases reads a whole import and checks it, so that nothing is imported of a file
// with a mistake. Numbering says which numbers the gateway takes for phones; nil if nobody
// has asked it. Errors name the lines, and nobody.
func readAliases(file, format string, in io.Reader, numbering *sms.Numbering) ([]aliasPlayer, error) {
	read := map[string]func(in *bufio.Reader, add func(line int, p aliasPlayer)) error{formatCSV: readCSV, formatJSONL: readJSONL}[format]
	if read == nil {
		return nil, fmt.Errorf("%s: write --format csv or jsonl, or name the file so", file)
	}
	text := bufio.NewReader(in)
	if mark, _ := text.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		_, _ = text.Discard(len(mark))
	}
	c := aliasCheck{numbering: numbering, taken: map[[sha256.Size]byte]int{}}
	err := read(text, c.add)
	if at, ok := errors.AsType[*lineError](err); ok {
		c.mistakes = append(c.mistakes, at)
	} else if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	if len(c.mistakes) == 0 {
		return c.players, nil
	}
	var told []error
	for _, m := range c.mistakes[:min(len(c.mistakes), maxMistakes)] {
		told = append(told, fmt.Errorf("%s:%d: %w", file, m.line, m.err))
	}
	if more := len(c.mistakes) - len(told); more > 0 {
		told = append(told, fmt.Errorf("%s: and %d more lines", file, more))
	}
	return nil, errors.Join(append(told, errors.New("nothing was imported"))...)
}

// byteOrderMark is what spreadsheets put before UTF-8.
const byteOrderMark = "\ufeff"

// aliasCheck gathers the players of an import, and its mistakes.
type aliasCheck struct {
	numbering *sms.Numbering
	players   []aliasPlayer
	// taken are the lines of subjects and names, by their hashes.
	taken    map[[sha256.Size]byte]int
	mistakes []*lineError
}

func (c *aliasCheck) add(line int, p aliasPlayer) {
	for _, text := range p.fields() {
		*text = strings.TrimSpace(*text)
	}
	if err := c.check(line, p); err != nil {
		c.mistakes = append(c.mistakes, &lineError{line, err})
		return
	}
	c.players = append(c.players, p)
}

func (c *aliasCheck) check(line int, p aliasPlayer) error {
	var names gate.Directory
	if c.numbering != nil {
		names.Numbering = *c.numbering
	}
	err := names.Check(p.Subject, p.Login, p.Email, p.Phone)
	if unasked := c.numbering == nil && errors.Is(err, gate.ErrNoPhone); err != nil && !unasked {
		return err
	}
	// A subject is compared as it is, and a name in all its spellings.
	for _, text := range []string{"subject\x00" + p.Subject, names.Canonical(p.Login), names.Canonical(p.Email), names.Canonical(p.Phone)} {
		if text == "" {
			continue
		}
		hash := sha256.Sum256([]byte(text))
		if before := c.taken[hash]; before != 0 && before != line {
			return fmt.Errorf("it has a subject or a name that line %d has too: whose it is must be certain, so write it in one of them", before)
		}
		c.taken[hash] = line
	}
	return nil
}

// lineError is a mistake in a line.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }

func atLine(line int, format string, args ...any) error {
	return &lineError{line, fmt.Errorf(format, args...)}
}

func readCSV(in *bufio.Reader, add func(line int, p aliasPlayer)) error {
	r := csv.NewReader(in)
	header, err := r.Read()
	if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
		return atLine(wrong.StartLine, "it is no CSV: %w", wrong.Err)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for i, name := range header {
		header[i] = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(columns, header[i]) || slices.Contains(header[:i], header[i]) {
			return atLine(1, "column %d is not one of %s, once each: name the columns in the first line, and save the file as UTF-8", i+1, strings.Join(columns, ", "))
		}
	}
	if !slices.Contains(header, "subject") {
		return atLine(1, "the first line has to name the columns, subject among them: %s", strings.Join(columns, ","))
	}
	for {
		record, err := r.Read()
		if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
			return atLine(wrong.StartLine, "it is no CSV of %d columns: %w", len(header), wrong.Err)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		var p aliasPlayer
		for i, value := range record {
			*p.fields()[header[i]] = value
		}
		line, _ := r.FieldPos(0)
		add(line, p)
	}
}

func readJSONL(in *bufio.Reader, add func(line int, p aliasPlayer)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxAliasLine)
	line := 0
	for lines.Scan() {
		line++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		p, ok := readJSONLine(lines.Bytes())
		if !ok {
			// The decoder's own error may quote a name.
			return atLine(line, `it is no JSON object of texts, each once: write {"subject":"…","login":"…","email":"…","phone":"…"}`)
		}
		add(line, p)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return atLine(line+1, "it is longer than %d bytes: write one player a line", maxAliasLine)
	}
	return lines.Err()
}

// readJSONLine reads a player. It exists because encoding/json takes "LOGIN" for "login",
// and the last of two.
func readJSONLine(text []byte) (p aliasPlayer, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return p, false
	}
	fields := p.fields()
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return p, false
		}
		name, _ := key.(string)
		field := fields[name]
		delete(fields, name)
		value, err := dec.Token()
		if err != nil || field == nil {
			return p, false
		}
		switch value := value.(type) {
		case string:
			*field = value
		case nil:
			// as databases write what they do not have
		default:
			return p, false
		}
	}
	if _, err := dec.Token(); err != nil {
		return p, false
	}
	_, err := dec.Token()
	return p, errors.Is(err, io.EOF)
}
