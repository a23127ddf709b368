package caddymodule

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/policy"
)

// answering are the handlers that answer a request, so that none after them sees
// it.
var answering = []string{"reverse_proxy", "file_server", "static_response"}

// check looks for ways around step_up in what stands beside it.
func (l *layout) check(gates []gated) []finding {
	var found []finding
	add := func(s severity, hosts []string, format string, args ...any) {
		found = append(found, finding{Severity: s, Site: hostsText(hosts), Text: fmt.Sprintf(format, args...)})
	}
	guarded := map[string]bool{}
	for _, p := range l.handlers {
		if isBehind(gates, p) {
			for _, dial := range upstreams(p) {
				guarded[dial] = true
			}
		}
	}
	for _, p := range l.handlers {
		switch {
		case !slices.Contains(answering, p.module):
		case p.errors:
			if p.module != "static_response" {
				add(isWarning, p.hosts, "handle_errors serves by %s, which step_up does not see: serve nothing there that a rule protects", p.module)
			}
		case isBehind(gates, p):
			for _, dial := range upstreams(p) {
				if !isPrivate(dial) {
					add(isNote, p.hosts, "the site is at %q, which is not a private address: see to it that nobody reaches it around the gateway", dial)
				}
			}
		default:
			found = append(found, l.unguarded(gates, p, guarded)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.servers)) {
		server := l.servers[name]
		if p := server.trust(); p.weakness() != "" && slices.ContainsFunc(gates, func(g gated) bool { return g.server == name }) {
			found = append(found, finding{Severity: isWarning, Site: p.where(), Text: p.weakness()})
		}
	}
	return found
}

// unguarded says what is wrong with a handler that answers and that no step_up
// stands before.
func (l *layout) unguarded(gates []gated, p placed, guarded map[string]bool) []finding {
	at := finding{Severity: isWarning, Site: hostsText(p.hosts)}
	for _, dial := range upstreams(p) {
		if guarded[dial] {
			at.Severity = isError
			at.Text = fmt.Sprintf("the site at %q is reached here without step_up, which stands before it elsewhere: add step_up here, or remove the way", dial)
			return []finding{at}
		}
	}
	if slices.ContainsFunc(gates, func(g gated) bool { return g.server == p.server && g.chain[0] == p.chain[0] }) && p.module != "static_response" {
		at.Text = fmt.Sprintf("%s answers before step_up, or in a route of its own: what it serves is not protected", p.module)
		return []finding{at}
	}
	return nil
}

// isBehind reports whether a handler stands behind some step_up block.
func isBehind(gates []gated, p placed) bool {
	return slices.ContainsFunc(gates, func(g gated) bool { return g.shut == "" && g.guards(&p) })
}

// upstreams returns the addresses that a reverse proxy dials.
func upstreams(p placed) []string {
	if p.module != "reverse_proxy" {
		return nil
	}
	var proxy struct {
		Upstreams []struct {
			Dial string `json:"dial"`
		} `json:"upstreams"`
	}
	if json.Unmarshal(p.raw, &proxy) != nil {
		return nil
	}
	var dials []string
	for _, u := range proxy.Upstreams {
		dials = append(dials, sameDial(u.Dial))
	}
	return dials
}

// sameDial returns one text for the names of this machine.
func sameDial(dial string) string {
	host, port, err := net.SplitHostPort(dial)
	if ip, parsed := netip.ParseAddr(host); err == nil && (host == "" || strings.EqualFold(host, "localhost") || parsed == nil && ip.IsLoopback()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return dial
}

// isPrivate reports whether an address is one that only the machine or its own
// network reaches, as far as its text tells.
func isPrivate(dial string) bool {
	host, _, err := net.SplitHostPort(dial)
	if err != nil || host == "localhost" || strings.HasPrefix(dial, "unix/") || !strings.Contains(host, ".") && !strings.Contains(host, ":") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast())
}

func hostsText(hosts []string) string {
	if len(hosts) == 0 {
		return "every host"
	}
	return strings.Join(hosts, ", ")
}

// assets are endings of files that pages load by themselves.
var assets = []string{".js", ".css", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".ico", ".woff", ".woff2", ".map"}

// check looks at the rules of one step_up block.
func (g *gated) check() []finding {
	var found []finding
	prefix := g.handler.prefix()
	if g.shut != "" {
		found = append(found, finding{
			Severity: isError, Site: hostsText(g.hosts),
			Text: fmt.Sprintf("%s answers before step_up, so that nothing is protected: put step_up before it", g.shut),
		})
	}
	rules := slices.DeleteFunc(g.site.Rules.Rules(), func(r policy.Rule) bool { return !r.Guards() })
	for i, rule := range rules {
		add := func(s severity, format string, args ...any) {
			found = append(found, finding{Severity: s, Site: hostsText(g.hosts), Rule: rule.Name, Text: fmt.Sprintf(format, args...)})
		}
		for _, host := range rule.Hosts {
			if !g.site.Serves(strings.Replace(host, "*", "x", 1)) {
				add(isError, "it never matches: the site does not serve the host %q", host)
			}
		}
		if len(rule.Hosts) > 0 && len(g.hosts) == 0 {
			add(isWarning, "the site block takes every host, and the rule protects only %s: name the hosts in the site block, or leave host out", strings.Join(rule.Hosts, ", "))
		}
		for _, p := range rule.Paths {
			switch {
			case p == prefix || strings.HasPrefix(p, prefix+"/"):
				add(isError, "it never matches: everything below %s is the gateway's own", prefix)
			case slices.Contains(assets, strings.ToLower(path.Ext(p))) && (len(rule.Methods) == 0 || slices.Contains(rule.Methods, "GET")):
				add(isWarning, "%s looks like a file that pages load by themselves: players would see it missing, and no page", p)
			case strings.HasSuffix(p, "graphql") && len(rule.Conditions) == 0:
				add(isNote, "%s is one path for everything: graphql mutation NAME challenges only what is meant", p)
			}
		}
		for _, other := range rules[:i] {
			if narrower := narrows(other, rule); narrower != "" {
				add(isWarning, "%s", narrower)
			}
		}
		if rule.Kind == policy.NewDevice {
			g.checkNewDevice(rule, add)
		} else {
			g.checkVisits(rule, add)
		}
		if len(rule.NamedBy) > 0 {
			g.checkNaming(rule, add)
		}
		if rule.Report {
			add(isWarning, "it is in report mode and protects nothing")
		}
		if rule.Unenrolled == policy.UnenrolledAllow {
			add(isWarning, "players without a second factor pass it (unenrolled allow)")
		}
	}
	return found
}

// checkNewDevice looks at the rule for new devices.
func (g *gated) checkNewDevice(rule policy.Rule, add func(s severity, format string, args ...any)) {
	if len(g.handler.Logouts) == 0 {
		add(isWarning, "no logout is named: players on new devices cannot leave without a code; write logout and its path")
	}
	for _, pattern := range g.handler.Logouts {
		if strings.HasSuffix(pattern, "*") {
			add(isNote, "logout %s leaves alone all that begins so: whoever has only the password gets it", pattern)
		}
	}
	if len(rule.ExceptPaths) == len(g.handler.Logouts) {
		add(isNote, "it covers scripts, styles and pictures too: leave them alone with except path, such as except path /assets/*")
	}
	if g.handler.LoginPage == "" && len(g.handler.Logins) == 0 {
		add(isWarning, "no login is named: a session that changes hands at one gateway counts at the others until session_pass is over; write login_page or login")
	}
	if rule.Unenrolled == policy.UnenrolledEnrol {
		add(isNote, "players without a second factor can do nothing on the site until they have one (unenrolled enrol)")
	}
}

// checkVisits looks at a rule whose requests are taken for logins or logouts too.
func (g *gated) checkVisits(rule policy.Rule, add func(s severity, format string, args ...any)) {
	for _, visit := range []struct {
		name     string
		patterns []string
	}{{"login", g.handler.Logins}, {"logout", g.handler.Logouts}} {
		for _, pattern := range visit.patterns {
			if i := slices.IndexFunc(rule.Paths, func(p string) bool { return p == pattern || beginsAs(p, pattern) }); i >= 0 {
				add(isWarning, "%s %s takes %s for a %s: what a player has confirmed ends with each request there; write only the path that players use for it",
					visit.name, pattern, rule.Paths[i], visit.name)
			}
		}
	}
}

// beginsAs reports whether a path begins as a pattern that ends in * wants.
func beginsAs(path, pattern string) bool {
	start, open := strings.CutSuffix(pattern, "*")
	return open && strings.HasPrefix(path, start)
}

// checkNaming looks at a rule that asks the account which the request names.
func (g *gated) checkNaming(rule policy.Rule, add func(s severity, format string, args ...any)) {
	var known struct{ Login, Email, Phone string }
	// The configuration was adapted before; what a source calls otherwise is not seen.
	if err := json.Unmarshal(g.handler.IdentityRaw, &known); err == nil && known.Login == "" && known.Email == "" && known.Phone == "" {
		add(isWarning, "the identity source names no login, email or phone, so no name is learned and nobody can pass it: name them, or import them with stepgate alias import")
	}
	if rule.Unenrolled == policy.UnenrolledEnrol {
		add(isNote, "players without a second factor cannot pass it (unenrolled enrol): leave it out for a code to the phone that the site knows")
	}
	if len(rule.Methods) == 0 {
		add(isWarning, "it asks of the page of the form too, which names nobody and is refused then: write method POST")
	}
}

// narrows says which of two rules adds nothing to the other, if it is certain.
func narrows(a, b policy.Rule) string {
	if len(a.Conditions)+len(a.Amounts)+len(a.Hosts)+len(b.Conditions)+len(b.Amounts)+len(b.Hosts) > 0 || a.Report != b.Report ||
		(len(a.NamedBy) > 0) != (len(b.NamedBy) > 0) {
		return ""
	}
	same := func(x, y []string) bool {
		return len(x) == len(y) && !slices.ContainsFunc(x, func(s string) bool { return !slices.Contains(y, s) })
	}
	if same(a.Paths, b.Paths) && same(a.Methods, b.Methods) && same(a.ExceptPaths, b.ExceptPaths) && same(a.ExceptMethods, b.ExceptMethods) {
		return fmt.Sprintf("it protects the same requests as %s: a player meets both at once, so write one", a.Name)
	}
	return ""
}

// doors names the doors that the block leaves open.
func (g *gated) doors() []finding {
	var found []finding
	add := func(text string) {
		found = append(found, finding{Severity: isNote, Site: hostsText(g.hosts), Text: text})
	}
	for _, p := range policy.Profiles() {
		if !slices.Contains(g.handler.Profiles, p.Name) {
			if !strings.HasPrefix(p.Doors[0], "none") {
				add(fmt.Sprintf("if the site is made with %s, write profile %s: %s", p.Name, p.Name, strings.Join(p.Doors, "; ")))
			}
			continue
		}
		for _, open := range p.Open {
			add(fmt.Sprintf("profile %s leaves open: %s", p.Name, open))
		}
	}
	return found
}

// matchProfiles says which profiles the site's own answers speak for and a block
// does not name.
func matchProfiles(seen map[string]string, gates []gated) []finding {
	var found []finding
	for _, g := range gates {
		for _, profile := range slices.Sorted(maps.Keys(seen)) {
			if !slices.Contains(g.handler.Profiles, profile) {
				found = append(found, finding{
					Severity: isWarning, Site: hostsText(g.hosts),
					Text: fmt.Sprintf("the site's answers (%s) look like %s: write profile %s", seen[profile], profile, profile),
				})
			}
		}
	}
	return found
}
