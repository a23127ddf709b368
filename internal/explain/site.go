package explain

import (
	"slices"
	"strings"

	"github.com/stepgate/stepgate/policy"
)

// Site is one step_up block.
type Site struct {
	// Hosts are those that it is reached under; none means all. Not are those that
	// another site has taken before.
	Hosts []string `json:"hosts"`
	Not   []string `json:"not_hosts,omitempty"`
	// MaxBody is how much of a body the gateway reads, in bytes. Default 1 MiB.
	MaxBody int64 `json:"-"`
	// Prefix is the path below which everything is the gateway's own; Settings is where its
	// security page stands too, or empty.
	Prefix   string `json:"-"`
	Settings string `json:"-"`
	// Rules are its rules.
	Rules *policy.Set `json:"-"`
}

// Serves reports whether requests to a host, with or without port, reach the site.
func (s *Site) Serves(host string) bool {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return (len(s.Hosts) == 0 || isAmong(s.Hosts, host)) && !isAmong(s.Not, host)
}

// owns reports whether the gateway answers a path by itself.
func (s *Site) owns(path string) bool {
	below, ok := strings.CutPrefix(path, s.Prefix)
	return s.Prefix != "" && ok && (below == "" || below[0] == '/') || s.Settings != "" && path == s.Settings
}

// isAmong reports whether a host is one of a list as Caddy matches hosts.
func isAmong(hosts []string, host string) bool {
	label, rest, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(hosts, func(h string) bool {
		below, wild := strings.CutPrefix(h, "*.")
		return strings.EqualFold(h, host) || wild && label != "" && strings.EqualFold(rest, below)
	})
}
