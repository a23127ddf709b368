package account

import (
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/stepgate/stepgate/policy"
)

// aDay is how long each wrong answer of a stranger's is remembered, one after the other.
const aDay = 24 * time.Hour

// stranger reports whether the asker has shown no session, only a name.
func (who Asker) stranger() bool { return who.Stranger != "" }

// strangers returns the budgets of those who gave a name, made if need be.
func (a *Account) strangers(name string) map[policy.Factor]*Failures {
	if a.Strangers == nil {
		a.Strangers = map[string]map[policy.Factor]*Failures{}
	}
	if a.Strangers[name] == nil {
		a.Strangers[strings.Clone(name)] = map[policy.Factor]*Failures{}
	}
	return a.Strangers[name]
}

// forgotten returns when a stranger's failures are forgotten.
func (f *Failures) forgotten() time.Time { return f.Last.Add(time.Duration(f.InARow) * aDay) }

// forget drops what is remembered no longer of strangers' failures.
func (a *Account) forget(now time.Time) {
	for name, budgets := range a.Strangers {
		maps.DeleteFunc(budgets, func(_ policy.Factor, f *Failures) bool { return !now.Before(f.forgotten()) })
		if len(budgets) == 0 {
			delete(a.Strangers, name)
		}
	}
}

// expires returns from when the record holds nothing any more; zero for never, as for
// every account that anybody but strangers has touched.
func (a *Account) expires() time.Time {
	rest := *a
	rest.Pending, rest.Strangers, rest.Activities, rest.Notices, rest.Inquiries = nil, nil, nil, nil, nil
	if len(rest.Failures) == 0 {
		rest.Failures = nil
	}
	if len(rest.Changed) == 0 {
		rest.Changed = nil
	}
	if !reflect.DeepEqual(rest, Account{}) {
		return time.Time{}
	}
	var ends []time.Time
	for _, p := range a.Pending {
		if p.Stranger == "" {
			return time.Time{}
		}
		ends = append(ends, p.Expires)
	}
	for _, budgets := range a.Strangers {
		for _, f := range budgets {
			ends = append(ends, f.forgotten())
		}
	}
	for _, n := range a.Notices {
		ends = append(ends, n.At.Add(NoticeLifetime))
	}
	for _, q := range a.Inquiries {
		ends = append(ends, q.Until)
	}
	var last time.Time
	for _, end := range ends {
		if end.After(last) {
			last = end
		}
	}
	return last
}
