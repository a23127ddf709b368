package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// host is the site's name, as browsers know it.
const host = "casino.example"

// The paths that requests go to: one of no rule and one of a rule, equally long.
const (
	openPath    = "/games/statement"
	guardedPath = "/money/statement"
)

// stage is the site with its gateways before it, and the loads that go through
// them.
type stage struct {
	site     *site
	gateways []*process
	// variants are what is compared. The first is what the others are measured
	// against.
	variants []*variant
}

// setUp starts everything anew in dir, with a fresh store, and passes a challenge.
func setUp(ctx context.Context, dir string, bin binaries, o options) (_ *stage, err error) {
	s := new(stage)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.site, err = newSite(); err != nil {
		return nil, err
	}
	// Which one starts first, and lies first in memory, is left to chance.
	s.gateways = make([]*process, len(gateways))
	for _, i := range rand.Perm(len(gateways)) {
		g := gateways[i]
		path := bin.plain
		if g.rule != "" {
			path = bin.stepgate
		}
		if s.gateways[i], err = startCaddy(ctx, dir, g, path, o.procs, s.site); err != nil {
			return nil, err
		}
	}
	cookies := make([]string, len(gateways))
	for i, g := range gateways {
		if !g.closed {
			continue
		}
		if cookies[i], err = passChallenge(ctx, s.gateways[i]); err != nil {
			return nil, fmt.Errorf("passing a challenge of %q: %w", g.name, err)
		}
		if err := check(s.gateways[i], cookies[i]); err != nil {
			return nil, fmt.Errorf("%q: %w", g.name, err)
		}
	}
	for i, g := range gateways {
		v := &variant{name: g.name, process: s.gateways[i], target: g.target}
		path := guardedPath
		if !g.closed {
			cookies[i] = cookies[guarded]
		}
		if g.rule != "" && !g.closed {
			path = openPath
		}
		if v.load, err = newLoad(v.process.addr, requestBytes(path, cookies[i]), o.connections); err != nil {
			return nil, err
		}
		s.variants = append(s.variants, v)
	}
	return s, nil
}

// gateway is one of those that are compared.
type gateway struct {
	name string
	// rule is what stands first in its step_up block; empty for plain Caddy.
	rule string
	// closed says that its requests meet the rule, and pass by the cookies of a passed
	// challenge.
	closed bool
	// target is the most that a request through it may cost, as a ratio of CPU time; 0
	// if there is none.
	target float64
}

// gateways are what is compared, beginning with what the others are measured against.
// guarded is the one whose cookies requests carry that need none.
var gateways = []gateway{
	{name: "plain"},
	{name: "plain, again"},
	{name: "unprotected", rule: oneRoute, target: 1.02},
	{name: "protected", rule: oneRoute, closed: true, target: 1.04},
	{name: "every route", rule: everyRoute, closed: true, target: 1.04},
}

const guarded = 3

// The first rule of a site that protects one route, and of one on which every route asks
// for a session that has passed a challenge.
const (
	oneRoute = `protect statement {
			path       ` + guardedPath + `*
			method     GET
			max_age    1h
			unenrolled registered_phone
		}`
	everyRoute = `new_device {
			max_age    1h
			unenrolled registered_phone
		}`
)

// close ends what was started, which may be a part of it.
func (s *stage) close() {
	for _, v := range s.variants {
		v.load.close()
	}
	for _, p := range s.gateways {
		if p != nil {
			p.stop()
		}
	}
	if s.site != nil {
		s.site.close()
	}
}

// startCaddy starts a gateway before the site.
func startCaddy(ctx context.Context, dir string, g gateway, bin string, procs int, s *site) (*process, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("reading a free port: %w", err)
	}
	home, err := os.MkdirTemp(dir, "gateway-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	config := filepath.Join(home, "Caddyfile")
	if err := os.WriteFile(config, []byte(g.caddyfile(port, s.addr)), 0o600); err != nil {
		return nil, fmt.Errorf("writing a Caddyfile: %w", err)
	}
	env := append(os.Environ(),
		"GOMAXPROCS="+strconv.Itoa(procs), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	return start(ctx, g.name, addr, env, bin, "run", "--config", config, "--adapter", "caddyfile")
}

// caddyfile is the configuration of a gateway that listens on a port before the site at
// addr.
func (g gateway) caddyfile(port, addr string) string {
	global, directives := "", ""
	if g.rule != "" {
		global, directives = stepgateOptions, g.stepUp(addr)
	}
	return "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n" + global + "}\n\n" +
		"http://" + host + ":" + port + " {\n\tbind 127.0.0.1\n" + directives + "\treverse_proxy " + addr + "\n}\n"
}

const stepgateOptions = `	stepgate {
		store bolt
		brand "Example Casino"
		sms {
			countries ID
			console {
				unsafe_console "a measurement on this machine, under the host name of a site"
			}
		}
	}
`

// stepUp has the gateway's rule and, so that there are ten as on a real site, nine
// others.
func (g gateway) stepUp(addr string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `	step_up {
		identity upstream http://%s/api/me {
			cookie  %s
			subject json:id
			phone   json:phone
			login   json:username
		}
		settings /account/security
		%s
`, addr, sessionCookie, g.rule)
	for _, path := range []string{
		"/wallet/withdraw*", "/wallet/account", "/account/email", "/account/phone", "/account/password",
		"/account/limits*", "/api/v1/withdrawals", "/api/v1/accounts*", "/api/v1/transfers*",
	} {
		rule := strings.Trim(strings.ReplaceAll(path, "/", "_"), "_*")
		fmt.Fprintf(&b, "\t\tprotect %s {\n\t\t\tpath   %s\n\t\t\tmethod POST PUT PATCH\n\t\t}\n", rule, path)
	}
	b.WriteString("\t}\n")
	return b.String()
}

// check proves that Stepgate is at work: without the grant the guarded path is
// closed, and with it the site answers.
func check(stepgate *process, ours string) error {
	for cookies, want := range map[string]int{siteCookies: http.StatusUnauthorized, ours: http.StatusOK} {
		l, err := newLoad(stepgate.addr, requestBytes(guardedPath, cookies), 1)
		if err != nil {
			return err
		}
		_ = l.workers[0].conn.SetDeadline(time.Now().Add(patience)) // if it fails, so does what follows
		status, _, err := l.workers[0].exchange(l.request)
		l.close()
		if err != nil {
			return fmt.Errorf("checking the gateway: %w", err)
		}
		if status != want {
			return fmt.Errorf("checking the gateway: the guarded path answers %d, want %d", status, want)
		}
	}
	return nil
}
