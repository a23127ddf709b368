package identity

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Anonymous describes how a site answers somebody who is not logged in. The zero
// value stands for status 401.
//
// It has to be said, because what it says is believed: whoever gets the site to
// answer so for a stolen session, by a limit of its firewall or a page that has
// moved, is a visitor to all rules about players.
type Anonymous struct {
	// Statuses are client errors, such as 401 and 403.
	Statuses []int
	// Redirect says that visitors are sent to a login page (302, 303 or 307).
	Redirect bool
	// LoginPages are the paths to which they are sent, such as /login, on whatever
	// host. Default: any.
	LoginPages []string
	// Missing says that visitors get a 200 in which the subject is missing, null, empty
	// or 0.
	Missing bool
}

// checked returns a with its default. It reports what is wrong with it.
func (a Anonymous) checked() (Anonymous, error) {
	for _, status := range a.Statuses {
		switch {
		case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
			return a, fmt.Errorf("anonymous status %d says that the site is busy, not that nobody is logged in: leave it out", status)
		case status < 400 || status > 499:
			return a, fmt.Errorf("anonymous status %d: want a status from 400 to 499, such as 401", status)
		}
	}
	if len(a.LoginPages) > 0 && !a.Redirect {
		return a, fmt.Errorf("anonymous redirect is not set, but the login page %q is", a.LoginPages[0])
	}
	for _, page := range a.LoginPages {
		u, err := url.Parse(page)
		if err != nil || !strings.HasPrefix(page, "/") || u.Path != page || u.JoinPath().Path != page {
			return a, fmt.Errorf("anonymous redirect %q: want the path of the login page, such as /login", page)
		}
	}
	if len(a.Statuses) == 0 && !a.Redirect && !a.Missing {
		a.Statuses = []int{http.StatusUnauthorized}
	}
	return a, nil
}

// judge returns what an answer means whose status is not 200: ErrAnonymous, or an
// error that says what to describe if it is one.
func (a Anonymous) judge(asked *url.URL, resp *http.Response) error {
	switch status := resp.StatusCode; {
	case slices.Contains(a.Statuses, status):
		return ErrAnonymous
	case status == http.StatusFound, status == http.StatusSeeOther, status == http.StatusTemporaryRedirect:
		if a.Redirect && a.leadsToLogin(asked, resp.Header["Location"]) {
			return ErrAnonymous
		}
		return fmt.Errorf("asking the site: it answered with a redirect (status %d) that is none of a visitor's; "+
			"if it sends visitors there, describe them with: anonymous redirect", status)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("asking the site: it answered with status %d; if it answers visitors so, describe them with: anonymous status %d", status, status)
	default:
		return fmt.Errorf("asking the site: it answered with status %d", status)
	}
}

// leadsToLogin reports whether a redirect leads to the login page.
func (a Anonymous) leadsToLogin(asked *url.URL, location []string) bool {
	if len(a.LoginPages) == 0 {
		return true
	}
	if len(location) != 1 {
		return false
	}
	target, err := asked.Parse(location[0])
	return err == nil && slices.Contains(a.LoginPages, target.Path)
}
