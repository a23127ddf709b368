package gate

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/grant"
	"github.com/stepgate/stepgate/internal/seal"
)

var cryptoRand io.Reader = rand.Reader

// The gate's own cookies. Over TLS their names carry the prefix __Host-, so that
// no other host and no unencrypted answer can set them (RFC 6265bis section
// 4.1.3.2).
const (
	cookieGrant    = "stepgate-grant"
	cookieBrowser  = "stepgate-browser"
	cookiePass     = "stepgate-pass"
	cookieLanguage = "stepgate-language"
	// cookieDevice begins the name of the cookie by which a browser is trusted by one
	// account; the rest names the account. Several players may share a browser.
	cookieDevice = "stepgate-device-"
	cookiePrefix = "stepgate-"
	hostPrefix   = "__Host-"
)

// headerChallenge names the passed challenge whose approval a repeated request
// uses.
const headerChallenge = "Step-Up-Challenge"

// browserLifetime is how long a browser keeps its secret: as long as browsers
// keep any cookie.
const browserLifetime = 400 * 24 * time.Hour

// own is what a request carried for the gate itself.
type own struct {
	grant, pass, browser, language, challenge string
	// devices are the secrets of trusted devices, by what their cookies' names end in.
	devices map[string]string
	// release is set where the request is one that the gate itself restored.
	release *release
}

// takeOwn takes the gate's own cookies and headers off a request: the site never
// sees them, and what claims to be ours but came from outside ends here.
func takeOwn(r *http.Request) own {
	var o own
	for name, values := range r.Header {
		if !isOwnHeader(name) {
			continue
		}
		if name == headerChallenge && len(values) == 1 {
			o.challenge = values[0]
		}
		delete(r.Header, name)
	}
	lines := r.Header["Cookie"]
	for i, line := range lines {
		if !strings.Contains(line, cookiePrefix) {
			continue
		}
		lines[i] = o.takeCookies(line, isPlainLoopback(r))
	}
	if len(lines) == 1 && lines[0] == "" {
		delete(r.Header, "Cookie")
	}
	return o
}

// isOwnHeader reports whether a header's name begins with Step-Up-, in any case
// and with either separator.
func isOwnHeader(name string) bool {
	const prefix = "step-up-"
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := name[i] | 0x20
		if name[i] == '-' || name[i] == '_' {
			c = '-'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// takeCookies returns a Cookie header without our cookies, whose values it
// keeps. The others stay byte for byte. A cookie of ours that is there twice
// counts as absent: we cannot know which one we set. One under the name that does
// not count on this connection is dropped.
func (o *own) takeCookies(line string, plain bool) string {
	var kept remainder
	from := 0
	for i := 0; i < len(line); {
		end := len(line)
		if j := strings.IndexByte(line[i:], ';'); j >= 0 {
			end = i + j
		}
		next := min(end+1, len(line))
		name, value, _ := strings.Cut(trimBlanks(line[i:end]), "=")
		bare, prefixed := strings.CutPrefix(name, hostPrefix)
		if strings.HasPrefix(bare, cookiePrefix) && o.take(bare, value, prefixed != plain) {
			kept.add(line[from:max(from, i-1)], len(line))
			from = next
		}
		i = next
	}
	kept.add(line[from:], len(line))
	return kept.String()
}

// remainder is what is left of a Cookie header. It is a part of the header, and
// costs no copy, as long as what was taken stood together at one end, as it does in
// a browser that got our cookies after the site's own.
type remainder struct {
	only string
	all  strings.Builder // set from the second piece on
}

func (r *remainder) add(piece string, atMost int) {
	switch {
	case r.only == "":
		r.only = strings.TrimLeft(piece, " \t")
	case piece == "":
	default:
		if r.all.Len() == 0 {
			r.all.Grow(atMost)
			r.all.WriteString(r.only)
		}
		r.all.WriteByte(';')
		r.all.WriteString(piece)
	}
}

func (r *remainder) String() string {
	if r.all.Len() == 0 {
		return r.only
	}
	return r.all.String()
}

// trimBlanks is strings.Trim for spaces and tabs, at a fifth of its cost.
func trimBlanks(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// duplicated is a value that no cookie of ours can have.
const duplicated = "\x00"

// maxDevices is of how many accounts that share a browser the trust is looked at.
const maxDevices = 8

// take keeps the value of a cookie of ours, if it counts, and reports whether it
// is one.
func (o *own) take(name, value string, counts bool) bool {
	keep := func(old string) string {
		switch {
		case !counts:
			return old
		case old != "":
			return duplicated
		default:
			return value
		}
	}
	switch name {
	case cookieGrant:
		o.grant = keep(o.grant)
	case cookiePass:
		o.pass = keep(o.pass)
	case cookieBrowser:
		o.browser = keep(o.browser)
	case cookieLanguage:
		o.language = keep(o.language)
	default:
		account, found := strings.CutPrefix(name, cookieDevice)
		if !found || len(o.devices) >= maxDevices && o.devices[account] == "" {
			return found
		}
		if o.devices == nil {
			o.devices = map[string]string{}
		}
		o.devices[account] = keep(o.devices[account])
	}
	return true
}

// isPlainLoopback reports whether the browser talks to us unencrypted on its own
// machine, as with the demo: some browsers refuse __Host- and Secure there. The
// Host header cannot be made to lie by anybody but the client itself, and the
// value of our cookies is signed or secret whatever their name.
func isPlainLoopback(r *http.Request) bool {
	return r.TLS == nil && isLoopback(r.Host)
}

// isLoopback reports whether a host, with or without port, is this machine.
func isLoopback(host string) bool {
	host = hostname(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if host == "" || host[0] != '[' && (host[0] < '0' || host[0] > '9') {
		return false
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// setCookie sets one of our cookies (R40).
func setCookie(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	c := &http.Cookie{
		Name: hostPrefix + name, Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if isPlainLoopback(r) {
		c.Name, c.Secure = name, false
	}
	if life <= 0 {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// clearCookie has the browser drop one of our cookies.
func clearCookie(w http.ResponseWriter, r *http.Request, name string) { setCookie(w, r, name, "", 0) }

// setGrant sets the step-up cookie.
func (g *Gate) setGrant(w http.ResponseWriter, r *http.Request, b *Backend, gr *grant.Grant) error {
	value, err := b.Grants.Encode(gr)
	if err != nil {
		return err
	}
	setCookie(w, r, cookieGrant, value, gr.Ends().Sub(g.Now()))
	return nil
}

// browserHash returns the keyed hash under which a browser's secret is kept;
// empty if the secret is none of ours in form.
func browserHash(ring *seal.Ring, secret string) string {
	if !isSecret(secret) {
		return ""
	}
	sum := ring.MAC(seal.Browser, "hash", secret)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// deviceHash returns the keyed hash under which an account knows a trusted device; empty
// if the secret is none of ours in form.
func deviceHash(ring *seal.Ring, id account.ID, secret string) string {
	if !isSecret(secret) {
		return ""
	}
	sum := ring.MAC(seal.Device, string(id), secret)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// deviceCookie returns the name of the cookie by which an account trusts a browser.
func deviceCookie(id account.ID) string { return cookieDevice + deviceSuffix(id) }

// deviceSuffix tells the accounts of one browser apart.
func deviceSuffix(id account.ID) string { return string(id[:min(len(id), 8)]) }

// isSecret reports whether a cookie's value has the form of a secret that we draw.
func isSecret(secret string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(secret)
	return err == nil && len(raw) == 16
}

// firstSecret returns the secret for a browser that shows none when a challenge
// is opened. It follows from the challenge's id, so that the two requests of a
// double click get the same one without its being stored.
func firstSecret(ring *seal.Ring, challengeID string) string {
	sum := ring.MAC(seal.Browser, "secret", challengeID)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// newSecret draws a secret for a browser.
func (g *Gate) newSecret() (string, error) {
	var secret [16]byte
	if _, err := io.ReadFull(g.Rand, secret[:]); err != nil {
		return "", fmt.Errorf("drawing a browser secret: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(secret[:]), nil
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// audience returns the host that a grant is for, without port, in lower case.
func audience(host string) string {
	return strings.ToLower(hostname(host))
}

// hostname returns a Host header's value without its port. net.SplitHostPort does
// the same but makes an error of each value that has none, on every request.
func hostname(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.IndexByte(host[i:], ']') >= 0 || strings.IndexByte(host, ':') != i && host[0] != '[' {
		return host
	}
	return host[:i]
}
