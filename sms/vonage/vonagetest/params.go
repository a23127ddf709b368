package vonagetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"
)

// readObject reads a body that has to be one JSON object; nil if it is none.
func readObject(r *http.Request, body []byte) map[string]any {
	if mediaType(r) != "application/json" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil
	}
	if _, err := d.Token(); err != io.EOF {
		return nil
	}
	return object
}

// readParams reads the parameters of the older APIs, which come as a form, as JSON or in
// the query, and are strings to whoever reads them. problem names one that is none, or
// that is there twice.
func readParams(r *http.Request, body []byte) (params map[string]string, problem string) {
	params = map[string]string{}
	values := r.URL.Query()
	switch mediaType(r) {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return params, "body"
		}
		for name, v := range form {
			values[name] = append(values[name], v...)
		}
	case "application/json":
		for name, v := range readObject(r, body) {
			switch v := v.(type) {
			case string, json.Number, bool:
				values.Add(name, fmt.Sprint(v))
			default:
				problem = name
			}
		}
	}
	for name, v := range values {
		if len(v) != 1 || !utf8.ValidString(v[0]) {
			problem = name
		}
		params[name] = v[0]
	}
	return params, problem
}

func mediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// field is one parameter of a JSON object. check gives the reason why a value will not
// do, empty if it will.
type field struct {
	name     string
	required bool
	check    func(v any) string
}

// check returns what is wrong with an object, in the order of the fields.
func check(object map[string]any, fields []field) []fault {
	var faults []fault
	known := map[string]bool{}
	for _, f := range fields {
		known[f.name] = true
		v, ok := object[f.name]
		switch {
		case !ok && f.required:
			faults = append(faults, fault{f.name, "is required."})
		case ok:
			if reason := f.check(v); reason != "" {
				faults = append(faults, fault{f.name, reason})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !known[name] {
			faults = append(faults, fault{name, "is not known."})
		}
	}
	return faults
}

// length wants a string of so many characters.
func length(low, high int) func(any) string {
	return func(v any) string {
		s, ok := v.(string)
		if n := utf8.RuneCountInString(s); !ok || n < low || n > high {
			return fmt.Sprintf("must be a string of %d to %d characters.", low, high)
		}
		return ""
	}
}

// pattern wants a string of a form.
func pattern(form *regexp.Regexp) func(any) string {
	return func(v any) string {
		if s, ok := v.(string); !ok || !form.MatchString(s) {
			return "must match " + form.String()
		}
		return ""
	}
}

// between wants a whole number; a string is none.
func between(low, high int64) func(any) string {
	return func(v any) string {
		number, ok := v.(json.Number)
		if n, err := number.Int64(); !ok || err != nil || n < low || n > high {
			return fmt.Sprintf("must be a whole number from %d to %d.", low, high)
		}
		return ""
	}
}

func boolean(v any) string {
	if _, ok := v.(bool); !ok {
		return "must be true or false."
	}
	return ""
}

func oneOf(values ...string) func(any) string {
	return func(v any) string {
		if s, ok := v.(string); !ok || !slices.Contains(values, s) {
			return fmt.Sprintf("must be one of %q.", values)
		}
		return ""
	}
}

func address(v any) string {
	if s, ok := v.(string); !ok || !isURL(s) {
		return "must be a URL."
	}
	return ""
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// whole reports whether s is a whole number of a range.
func whole(s string, low, high int64) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && n >= low && n <= high
}

// The forms that all APIs share.
var (
	// recipientForm is E.164 without its "+".
	recipientForm = regexp.MustCompile(`^[1-9][0-9]{6,14}$`)
	// senderForm is a number or a name.
	senderForm = regexp.MustCompile(`^([0-9]{1,15}|[a-zA-Z0-9]{1,11})$`)
)
