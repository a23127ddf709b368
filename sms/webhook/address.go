package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

var (
	errURL  = errors.New("the url is none: write one such as https://api.example.net/v1/sms")
	errHost = errors.New("a placeholder stands before the path of the url: scheme and host are fixed text, because whoever could write there would have every code. Write {$NAME}, which the Caddyfile replaces, to take the host from the environment")
)

// address is where messages go, taken apart. Only segments of the path and values of
// the query may come from the message.
type address struct {
	base  url.URL // scheme and host
	path  []text
	query []field
}

// CheckURL reports what is wrong with an address for messages, or nil: an https URL,
// or an http one on this machine, since whoever listens on the way would read every
// code. The error does not repeat it.
func CheckURL(s string) error {
	_, err := parseAddress(s, func(string) (string, error) { return "x", nil })
	return err
}

func parseAddress(s string, resolve Resolve) (*address, error) {
	if strings.Contains(s, "#") {
		return nil, errors.New("the url has a fragment, which is never sent: leave out # and what follows")
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return nil, errURL
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if strings.ContainsAny(scheme+rest[:end], "{}") {
		return nil, errHost
	}
	base, err := url.Parse(scheme + "://" + rest[:end])
	switch {
	case err != nil || base.Hostname() == "" || base.Opaque != "":
		return nil, errURL
	case base.User != nil:
		return nil, errors.New("the url has a user or a password: write auth basic USER PASSWORD instead")
	case base.Scheme == "http" && !loopback(base.Hostname()):
		return nil, errors.New("the url is http and not on this machine, so that whoever listens on the way reads every code: write https")
	case base.Scheme != "https" && base.Scheme != "http":
		return nil, errors.New("the url is neither https nor http: write one such as https://api.example.net/v1/sms")
	}
	a := &address{base: *base}
	path, query, hasQuery := strings.Cut(rest[end:], "?")
	for _, segment := range segments(strings.TrimPrefix(path, "/")) {
		// Fixed text may be escaped already, and what is resolved is not: both are plain
		// from here on, and escaped as one.
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return nil, errors.New("the path of the url has a stray %: write %25 for a percent sign")
		}
		t, err := parseText(plain, resolve)
		if err != nil {
			return nil, fmt.Errorf("the path of the url: %w", err)
		}
		a.path = append(a.path, t)
	}
	if !hasQuery {
		return a, nil
	}
	for pair := range strings.SplitSeq(query, "&") {
		f, err := parseQueryValue(pair, resolve)
		if err != nil {
			return nil, err
		}
		a.query = append(a.query, f)
	}
	return a, nil
}

// segments splits a path at slashes, but for those in a placeholder such as
// {file./run/secrets/account}.
func segments(path string) []string {
	inside := false
	var all []string
	begin := 0
	for i := range len(path) {
		switch path[i] {
		case '{':
			inside = true
		case '}':
			inside = false
		case '/':
			if !inside {
				all, begin = append(all, path[begin:i]), i+1
			}
		}
	}
	return append(all, path[begin:])
}

// parseQueryValue reads name=value of the url's query.
func parseQueryValue(pair string, resolve Resolve) (field, error) {
	name, value, ok := strings.Cut(pair, "=")
	if !ok || name == "" || strings.ContainsAny(name, "{}") {
		return field{}, errors.New("the query of the url is not of the form name=value&name=value with fixed names")
	}
	plain, err := url.QueryUnescape(name)
	if err != nil {
		return field{}, errors.New("the query of the url has a stray %: write %25 for a percent sign")
	}
	if value, err = url.QueryUnescape(value); err != nil {
		return field{}, errors.New("the query of the url has a stray %: write %25 for a percent sign")
	}
	t, err := parseText(value, resolve)
	if err != nil {
		return field{}, fmt.Errorf("the query of the url: %w", err)
	}
	return field{name: plain, value: t}, nil
}

// url returns the address for one message; more is added to its query.
func (a *address) url(v values, more url.Values) (*url.URL, error) {
	u := a.base
	var raw strings.Builder
	for _, t := range a.path {
		segment := t.as(v)
		used := map[string]bool{}
		if t.uses(used); len(used) > 0 && (segment == "" || segment == "." || segment == "..") {
			// Escaping leaves dots alone, and a server may walk up by them.
			return nil, errors.New("a segment of the url's path comes out empty or as dots")
		}
		u.Path += "/" + segment
		raw.WriteString("/" + url.PathEscape(segment))
	}
	u.RawPath = raw.String()
	query := url.Values{}
	for _, f := range a.query {
		query.Add(f.name, f.value.as(v))
	}
	for name, all := range more {
		query[name] = append(query[name], all...)
	}
	u.RawQuery = query.Encode()
	return &u, nil
}

// uses adds the placeholders of the address to a set.
func (a *address) uses(set map[string]bool) {
	for _, t := range a.path {
		t.uses(set)
	}
	for _, f := range a.query {
		f.value.uses(set)
	}
}

func loopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
