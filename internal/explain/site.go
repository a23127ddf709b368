package explain

import (
	"strings"

	"github.com/stepgate/stepgate/policy"
)

// Site is one step_up block.
type Site struct {
	// Hosts are those that it is reached under; none means all.
	Hosts []string `json:"hosts"`
	// Rules are its rules.
	Rules *policy.Set `json:"-"`
}

// Serves reports whether requests to a host, with or without port, reach the site.
func (s *Site) Serves(host string) bool {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, h := range s.Hosts {
		below, wild := strings.CutPrefix(h, "*.")
		label, rest, _ := strings.Cut(host, ".")
		if strings.EqualFold(h, host) || wild && label != "" && strings.EqualFold(rest, below) {
			return true
		}
	}
	return len(s.Hosts) == 0
}
