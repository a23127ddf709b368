package caddymodule

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/internal/gate"
)

// aliasPlayer is a line of an import: the names under which the site knows a player.
type aliasPlayer struct {
	Subject string `json:"subject"`
	Login   string `json:"login,omitempty"`
	Email   string `json:"email,omitempty"`
	Phone   string `json:"phone,omitempty"`
}

// fields are those of a line, by the names of its columns.
func (p *aliasPlayer) fields() map[string]*string {
	return map[string]*string{"subject": &p.Subject, "login": &p.Login, "email": &p.Email, "phone": &p.Phone}
}

// The formats of an import.
const (
	formatCSV   = "csv"
	formatJSONL = "jsonl"
)

// readAliases reads a whole import and checks it, so that nothing is imported of a file
// with a mistake. Errors name the line, and nobody.
func readAliases(file, format string, data []byte) ([]aliasPlayer, error) {
	read := map[string]func(data []byte, add func(line int, p aliasPlayer) error) error{formatCSV: readCSV, formatJSONL: readJSONL}[format]
	if read == nil {
		return nil, fmt.Errorf("%s: write --format csv or jsonl, or name the file so", file)
	}
	var players []aliasPlayer
	taken := map[string]int{}
	err := read(data, func(line int, p aliasPlayer) error {
		switch {
		case strings.TrimSpace(p.Subject) == "":
			return atLine(line, "it has no subject: write the player's id at the site")
		case p.Login == "" && p.Email == "" && p.Phone == "":
			return atLine(line, "it has no name: write a login, an email or a phone, or leave the line out")
		}
		for _, n := range []string{"subject " + p.Subject, canonical(p.Login), canonical(p.Email), canonical(p.Phone)} {
			if before := taken[n]; n != "" && before != 0 && before != line {
				return atLine(line, "it has a subject or a name that line %d has too: whose it is must be certain", before)
			}
			taken[n] = line
		}
		players = append(players, p)
		return nil
	})
	if at, ok := errors.AsType[*lineError](err); ok {
		return nil, fmt.Errorf("%s:%d: %s", file, at.line, at.text)
	}
	return players, err
}

// canonical returns one text for all spellings of a name. Which numbers are phones is the
// gateway's to say; here those of Indonesia are, as by default.
func canonical(name string) string { return gate.Directory{}.Canonical(name) }

// lineError is a mistake in a line.
type lineError struct {
	line int
	text string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.text) }

func atLine(line int, format string, args ...any) error {
	return &lineError{line, fmt.Sprintf(format, args...)}
}

func readCSV(data []byte, add func(line int, p aliasPlayer) error) error {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	header, err := r.Read()
	known := slices.Sorted(func(yield func(string) bool) {
		for name := range new(aliasPlayer).fields() {
			if !yield(name) {
				return
			}
		}
	})
	for i, name := range header {
		header[i] = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(known, header[i]) || slices.Contains(header[:i], header[i]) {
			return atLine(1, "column %d is not one of %s, once each: name the columns in the first line", i+1, strings.Join(known, ", "))
		}
	}
	if err != nil || !slices.Contains(header, "subject") {
		return atLine(1, "the first line has to name the columns, subject among them: subject,login,email,phone")
	}
	for {
		record, err := r.Read()
		line, _ := r.FieldPos(0)
		if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
			return atLine(wrong.StartLine, "it is no CSV of %d columns: %v", len(header), wrong.Err)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		var p aliasPlayer
		for i, value := range record {
			*p.fields()[header[i]] = strings.TrimSpace(value)
		}
		if err := add(line, p); err != nil {
			return err
		}
	}
}

func readJSONL(data []byte, add func(line int, p aliasPlayer) error) error {
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		var p aliasPlayer
		// The decoder's own error may quote a name.
		if dec.Decode(&p) != nil || dec.More() {
			return atLine(line, `it is no JSON object of texts: write {"subject":"…","login":"…","email":"…","phone":"…"}`)
		}
		if err := add(line, p); err != nil {
			return err
		}
	}
	return nil
}
