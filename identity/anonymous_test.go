package identity

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Whoever gets the site to refuse a stolen session, by a limit of its firewall, must
// not become a visitor by that.
func TestAttackOnlyTheDescribedAnswerIsAVisitors(t *testing.T) {
	const login = "/login"
	answers := []struct {
		name     string
		status   int
		location []string
		body     string
	}{
		{"401", 401, nil, ""}, {"403", 403, nil, ""}, {"404", 404, nil, ""}, {"429", 429, nil, ""}, {"500", 500, nil, ""}, {"503", 503, nil, ""}, {"301", 301, []string{login}, ""},
		{"to login", 302, []string{"/login"}, ""}, {"to login by 307", 307, []string{"/login"}, ""}, {"to login with a query", 303, []string{"/login?next=%2Fapi%2Fme#x"}, ""},
		{"to login by its address", 302, []string{"https://casino.example/login"}, ""}, {"to login from here", 302, []string{"../login"}, ""},
		{"to another page", 302, []string{"/maintenance"}, ""}, {"below login", 302, []string{"/login/two"}, ""}, {"login in the query", 302, []string{"/maintenance?/login"}, ""},
		{"nowhere", 302, nil, ""}, {"twice", 302, []string{"/login", "/login"}, ""}, {"unreadable", 302, []string{"%zz"}, ""},
		{"missing", 200, nil, `{"user":null}`}, {"null", 200, nil, `{"id":null}`},
	}
	toLogin := []string{"to login", "to login by 307", "to login with a query", "to login by its address", "to login from here"}
	for _, tt := range []struct {
		name string
		a    Anonymous
		want []string
	}{
		{"nothing said", Anonymous{}, []string{"401"}},
		{"status", Anonymous{Statuses: []int{403, 404}}, []string{"403", "404"}},
		{"redirect", Anonymous{Redirect: true}, append([]string{"to another page", "below login", "login in the query", "nowhere", "twice", "unreadable"}, toLogin...)},
		{"redirect to login", Anonymous{Redirect: true, LoginPages: []string{"/signin", "/login"}}, toLogin},
		{"missing", Anonymous{Missing: true}, []string{"missing", "null"}},
		{"two ways", Anonymous{Statuses: []int{401}, Missing: true}, []string{"401", "missing", "null"}},
	} {
		for _, answer := range answers {
			u := newTestUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				if answer.location != nil {
					w.Header()["Location"] = answer.location
				}
				write(answer.status, answer.body)(w, r)
			}, func(c *UpstreamConfig) { c.Anonymous = tt.a })
			_, err := u.Identify(t.Context(), request(), cookie("a"))
			if want := slices.Contains(tt.want, answer.name); err == nil || errors.Is(err, ErrAnonymous) != want {
				t.Errorf("%s: Identify of the answer %q = %v, want anonymous: %v", tt.name, answer.name, err, want)
			}
			if !errors.Is(err, ErrAnonymous) && strings.Contains(err.Error(), "login") {
				t.Errorf("the error %q repeats the answer", err)
			}
		}
	}
}

func TestAnErrorSaysHowToDescribeVisitors(t *testing.T) {
	for status, want := range map[int]string{403: "anonymous status 403", 302: "anonymous redirect", 200: "anonymous missing"} {
		u := newTestUpstream(t, write(status, `{}`), func(c *UpstreamConfig) { c.Anonymous = Anonymous{Statuses: []int{404}} })
		if _, err := u.Identify(t.Context(), request(), cookie("a")); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("Identify of status %d = %v, want it to end in %q", status, err, want)
		}
	}
}

func TestVisitorsAreNotDescribedByWhatMeansSomethingElse(t *testing.T) {
	for _, a := range []Anonymous{
		{Statuses: []int{200}}, {Statuses: []int{302}}, {Statuses: []int{401, 500}}, {Statuses: []int{429}}, {Statuses: []int{408}}, {Statuses: []int{0}},
		{LoginPages: []string{"/login"}}, {Redirect: true, LoginPages: []string{"login"}}, {Redirect: true, LoginPages: []string{"//login"}},
		{Redirect: true, LoginPages: []string{"/login?x"}}, {Redirect: true, LoginPages: []string{"https://a/login"}}, {Redirect: true, LoginPages: []string{"/a/../login"}}, {Redirect: true, LoginPages: []string{""}},
	} {
		if got, err := a.checked(); err == nil {
			t.Errorf("%+v is taken as %+v, want an error", a, got)
		}
	}
	for _, a := range []Anonymous{{}, {Statuses: []int{401, 403, 419}}, {Redirect: true, LoginPages: []string{"/", "/login", "/masuk/"}}} {
		if _, err := a.checked(); err != nil {
			t.Error(err)
		}
	}
}
