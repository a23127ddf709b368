package webhook

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/stepgate/stepgate/sms"
)

// judge says what answers mean.
type judge struct {
	success  []condition
	mappings []mapping
	id       path
	// readsJSON and readsBody say that something of the answer beside its status counts.
	readsJSON, readsBody bool
}

// mapping is a class and the conditions of which one is enough for it.
type mapping struct {
	name  string
	class sms.Class
	any   []condition
}

// accepted are the statuses that accept a message where nothing is said of them.
var accepted = condition{of: "status", ranges: []statusRange{{200, 299}}}

func newJudge(c Config) (judge, error) {
	var j judge
	for _, listed := range c.Success {
		p, err := listed.parseSuccess()
		if err != nil {
			return judge{}, fmt.Errorf("success: %w", err)
		}
		j.success = append(j.success, p)
	}
	if !slices.ContainsFunc(j.success, func(p condition) bool { return p.of == "status" }) {
		j.success = append(j.success, accepted)
	}
	for _, m := range []struct {
		name   string
		class  sms.Class
		listed []Condition
	}{
		{"number_error", sms.BadNumber, c.NumberError},
		{"policy", sms.Policy, c.Policy},
		{"account_error", sms.Account, c.AccountError},
		{"not_sent", sms.NotSent, c.NotSent},
	} {
		parsed := mapping{name: m.name, class: m.class}
		for _, listed := range m.listed {
			p, err := listed.parseMapping()
			if err != nil {
				return judge{}, fmt.Errorf("%s: %w", m.name, err)
			}
			parsed.any = append(parsed.any, p)
		}
		j.mappings = append(j.mappings, parsed)
	}
	if c.ID != "" {
		var err error
		if j.id, err = parsePath(c.ID); err != nil {
			return judge{}, fmt.Errorf("id: %w", err)
		}
	}
	j.note()
	return j, nil
}

// note finds out what of an answer counts.
func (j *judge) note() {
	all := slices.Clone(j.success)
	for _, m := range j.mappings {
		all = append(all, m.any...)
	}
	j.readsJSON = len(j.id) > 0 || slices.ContainsFunc(all, func(c condition) bool { return c.of == "json" })
	j.readsBody = j.readsJSON || slices.ContainsFunc(all, func(c condition) bool { return c.of == "body" })
}

// receipt returns what an answer means. Whatever is not said otherwise, and could be a
// message that is on its way, is Unknown.
func (j *judge) receipt(a answer) (sms.Receipt, error) {
	for _, m := range j.mappings {
		if slices.ContainsFunc(m.any, func(c condition) bool { return c.holds(a) }) {
			return sms.Receipt{}, refused(m.class, a, ", which "+m.name+" describes")
		}
	}
	switch {
	case a.status/100 == 2:
		if j.readsBody && a.body == nil || j.readsJSON && !a.isJSON {
			return sms.Receipt{}, refused(sms.Unknown, a, " and what is not to be read: it breaks off, is longer than 64 KiB, or is not the JSON that the configuration looks for")
		}
		if !j.accepts(a) {
			return sms.Receipt{}, refused(sms.Unknown, a, ", which success does not describe, nor any other line")
		}
		return sms.Receipt{ID: a.id(j.id)}, nil
	case a.status == http.StatusTooManyRequests:
		return sms.Receipt{}, refused(sms.NotSent, a, "")
	case a.status == http.StatusUnauthorized || a.status == http.StatusPaymentRequired || a.status == http.StatusForbidden:
		return sms.Receipt{}, refused(sms.Account, a, "")
	case a.status/100 == 3:
		return sms.Receipt{}, refused(sms.BadRequest, a, ", and redirects are not followed: write the address that it leads to")
	case a.status/100 == 4:
		return sms.Receipt{}, refused(sms.BadRequest, a, "")
	}
	return sms.Receipt{}, refused(sms.Unknown, a, "")
}

func (j *judge) accepts(a answer) bool {
	return !slices.ContainsFunc(j.success, func(c condition) bool { return !c.holds(a) })
}

func refused(class sms.Class, a answer, why string) error {
	return &sms.Error{Class: class, Err: fmt.Errorf("the provider answers %d%s", a.status, why)}
}
