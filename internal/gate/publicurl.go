package gate

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// CheckPublicURL reports what is wrong with scheme and host under which players
// reach a site: https, or http on this machine; a host, perhaps with a port; and
// nothing else, in lower case. The links in notices are secrets of the player, so
// they never go over the open network in plain.
func CheckPublicURL(text string) error {
	const want = "write scheme and host and nothing else, such as https://casino.example"
	u, err := url.Parse(text)
	switch {
	case strings.Contains(text, "@"):
		// Not quoted: it may have a password in it.
		return fmt.Errorf("public_url has a user in it: %s", want)
	case err != nil, u.Hostname() == "", u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("public_url %q: %s", text, want)
	case strings.ContainsAny(text, "?#") || u.Path != "" || text != strings.ToLower(text) || u.Scheme+"://"+u.Host != text:
		return fmt.Errorf("public_url %q: %s", text, want)
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !isPort(u.Port()):
		return fmt.Errorf("public_url %q: write a port from 1 to 65535, or leave it out", text)
	case u.Scheme == "http" && !isLoopback(u.Host):
		return fmt.Errorf("public_url %q: write https; http is for this machine only, such as http://localhost:9080", text)
	}
	return nil
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

// publicURL returns scheme and host under which players reach the site, or empty if
// they cannot be relied on. The Host header is what the client says: a link to a
// host of a thief's choice must not come from the site's own sender. Over TLS the
// name is one for which this server has a certificate.
func (g *Gate) publicURL(r *http.Request) string {
	switch {
	case g.PublicURL != "":
		return g.PublicURL
	case r.TLS != nil && r.TLS.ServerName != "" && strings.EqualFold(r.TLS.ServerName, hostname(r.Host)):
		return "https://" + strings.ToLower(r.Host)
	case isPlainLoopback(r):
		return "http://" + r.Host
	default:
		return ""
	}
}
