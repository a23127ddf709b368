package identity

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// findHeader returns the session in a header of the site's own, or "" if there is
// none.
//
// A site behind CGI, WSGI or PHP reads "X-Session", "X_Session" and "X.Session" as
// one and the same, and takes whichever comes last; servers join lines of one name
// with commas. All of these are two sessions.
func findHeader(h http.Header, name string) (string, error) {
	for other := range h {
		if other != name && sameHeader(other, name) {
			return "", ErrAmbiguous
		}
	}
	lines := h[name]
	switch len(lines) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", ErrAmbiguous
	}
	value := lines[0]
	if strings.Trim(value, " \t") == "" {
		return "", nil
	}
	for i := range len(value) {
		// A blank stands between a scheme and its credential, and nowhere else.
		if c := value[i]; c <= ' ' && (c != ' ' || i == 0 || i == len(value)-1) || c >= 0x7f || c == ',' {
			return "", ErrAmbiguous
		}
	}
	return value, nil
}

// sameHeader reports whether some site takes two names of headers for one another.
func sameHeader(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if foldHeader(a[i]) != foldHeader(b[i]) {
			return false
		}
	}
	return true
}

func foldHeader(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	case c == '.' || c == '_':
		return '-'
	default:
		return c
	}
}

// claims begin the names of headers in which a proxy tells a site who somebody is.
// What stands in them is no secret, so whoever can send them is anybody.
var claims = []string{
	"Remote-", "X-Remote-", "X-Forwarded-", "Forwarded", "X-Real-Ip", "X-Auth-Request-", "X-Authenticated-", "X-Authentik-", "X-Webauth-", "X-User",
	"Cf-Access-Authenticated-", "X-Goog-Authenticated-", "X-Ms-Client-Principal",
}

// transport are headers that carry no session of a site's own, or that do not get
// as far as the site.
var transport = []string{
	"Connection", "Content-Length", "Content-Type", "Cookie", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Set-Cookie",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// checkHeaderName allows the names of headers in which a site may keep a secret of
// its own. The name is in canonical form.
func checkHeaderName(name string) error {
	for i := range len(name) {
		if c := name[i]; !nameByte(c) || c == '_' || c == '.' {
			return fmt.Errorf("session header %q: want a name of letters, digits and dashes only; other names are dropped or respelt on the way", name)
		}
	}
	if strings.Trim(name, "-") == "" {
		return fmt.Errorf("session header %q: want a letter or digit in its name", name)
	}
	if slices.Contains(transport, name) {
		return fmt.Errorf("session header %s: it is a part of HTTP and carries no session of the site's own", name)
	}
	for _, claim := range claims {
		if strings.HasPrefix(name, claim) {
			return fmt.Errorf("session header %s: it tells who somebody is and is no secret, so that whoever can send it is anybody; "+
				"want a header with a secret that the site checks, or identity placeholder, which takes it from the handler that sets it", name)
		}
	}
	return nil
}
