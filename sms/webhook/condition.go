package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Condition is something that an answer may be.
type Condition struct {
	// What is looked at: `status`, the HTTP status; `json`, a value in the answer's
	// JSON; `body`, the whole answer as text. Required.
	Of string `json:"of"`
	// For `json`, where the value stands: names and places of lists, from 0, joined by
	// dots, such as `messages.0.status`.
	Path string `json:"path,omitempty"`
	// How it is compared. For `json`: `==`, `!=`, `in` (it is one of the values) or
	// `contains` (one of the values is a part of it). For `body`: `contains`. For
	// `status` it is left out. A value that is not in the answer meets no condition, not
	// even `!=`.
	Op string `json:"op,omitempty"`
	// What it is compared with. Numbers, true, false and null are compared as they are
	// written in the answer. For `status`: statuses and ranges such as `200-299`.
	// Required.
	Values []string `json:"values"`
}

// ParseCondition reads a condition from its words: status RANGE…, json PATH == VALUE,
// json PATH != VALUE, json PATH in VALUE…, json PATH contains VALUE…, or body contains
// VALUE….
func ParseCondition(words []string) (Condition, error) {
	var c Condition
	if len(words) > 0 {
		c.Of, words = words[0], words[1:]
	}
	if c.Of == "json" && len(words) > 0 {
		c.Path, words = words[0], words[1:]
	}
	if (c.Of == "json" || c.Of == "body") && len(words) > 0 {
		c.Op, words = words[0], words[1:]
	}
	c.Values = words
	_, err := c.parse()
	return c, err
}

// CheckSuccess reports what is wrong with a condition of success.
func (c Condition) CheckSuccess() error {
	_, err := c.parseSuccess()
	return err
}

func (c Condition) parseSuccess() (condition, error) {
	p, err := c.parse()
	if err == nil && slices.ContainsFunc(p.ranges, func(r statusRange) bool { return r.to > 299 }) {
		err = errors.New("an answer beyond 299 accepts nothing: write statuses from 200 to 299")
	}
	return p, err
}

// CheckMapping reports what is wrong with a condition of an error.
func (c Condition) CheckMapping() error {
	_, err := c.parseMapping()
	return err
}

func (c Condition) parseMapping() (condition, error) {
	p, err := c.parse()
	if err == nil && slices.ContainsFunc(p.ranges, func(r statusRange) bool { return r.from < 300 }) {
		err = errors.New("a status from 200 to 299 accepts a message: tell by json or body what else it can mean")
	}
	return p, err
}

// condition is a Condition taken apart.
type condition struct {
	of     string
	path   path
	op     string
	values []string
	ranges []statusRange
}

type statusRange struct{ from, to int }

var errCondition = errors.New("a condition is status 200-299, json PATH == VALUE, json PATH != VALUE, json PATH in VALUE…, json PATH contains VALUE…, or body contains VALUE…")

func (c Condition) parse() (condition, error) {
	p := condition{of: c.Of, op: c.Op, values: c.Values}
	switch c.Of {
	case "status":
		if c.Path != "" || c.Op != "" || len(c.Values) == 0 {
			return condition{}, errCondition
		}
		for _, v := range c.Values {
			r, err := parseStatus(v)
			if err != nil {
				return condition{}, err
			}
			p.ranges = append(p.ranges, r)
		}
		return p, nil
	case "json":
		var err error
		if p.path, err = parsePath(c.Path); err != nil {
			return condition{}, err
		}
		if ops := []string{"==", "!=", "in", "contains"}; !slices.Contains(ops, c.Op) {
			return condition{}, unknownName("comparison", c.Op, "%s", ops)
		}
	case "body":
		if c.Path != "" || c.Op != "contains" {
			return condition{}, errCondition
		}
	case "":
		return condition{}, errCondition
	default:
		return condition{}, unknownName("part of an answer", c.Of, "%s", []string{"status", "json", "body"})
	}
	switch {
	case len(c.Values) == 0:
		return condition{}, errCondition
	case (c.Op == "==" || c.Op == "!=") && len(c.Values) > 1:
		return condition{}, fmt.Errorf("%s compares with one value: write in for several, and quotes around one with spaces", c.Op)
	case c.Op == "contains" && slices.Contains(c.Values, ""):
		return condition{}, errors.New("contains needs a text: everything contains nothing")
	}
	return p, nil
}

// CheckPath reports what is wrong with the place of a value in an answer's JSON.
func CheckPath(s string) error {
	_, err := parsePath(s)
	return err
}

func parsePath(s string) (path, error) {
	p := path(strings.Split(s, "."))
	if slices.Contains(p, "") {
		return nil, fmt.Errorf("%q leads to no value: write names and places of lists joined by dots, such as messages.0.status", s)
	}
	return p, nil
}

func parseStatus(s string) (statusRange, error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	r, errFrom := statusRange{}, error(nil)
	r.from, errFrom = strconv.Atoi(from)
	var errTo error
	r.to, errTo = strconv.Atoi(to)
	if errFrom != nil || errTo != nil || len(from) != 3 || len(to) != 3 || r.from < 200 || r.to > 599 || r.from > r.to {
		return statusRange{}, fmt.Errorf("%q is no status: write one from 200 to 599, or a range such as 200-299", s)
	}
	return r, nil
}

// holds reports whether an answer meets the condition.
func (c condition) holds(a answer) bool {
	switch c.of {
	case "status":
		return slices.ContainsFunc(c.ranges, func(r statusRange) bool { return r.from <= a.status && a.status <= r.to })
	case "body":
		return slices.ContainsFunc(c.values, func(v string) bool { return bytes.Contains(a.body, []byte(v)) })
	}
	text, ok := a.text(c.path)
	if !ok {
		return false
	}
	switch c.op {
	case "==", "in":
		return slices.Contains(c.values, text)
	case "!=":
		return !slices.Contains(c.values, text)
	default: // contains
		return slices.ContainsFunc(c.values, func(v string) bool { return strings.Contains(text, v) })
	}
}
