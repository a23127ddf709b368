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
	gateways := []struct{ name, bin, global, directives, path string }{
		{"plain", bin.plain, "", "", guardedPath},
		{"plain, again", bin.plain, "", "", guardedPath},
		{"unprotected", bin.stepgate, stepgateOptions, stepUp(s.site), openPath},
		{"protected", bin.stepgate, stepgateOptions, stepUp(s.site), guardedPath},
	}
	// Which one starts first, and lies first in memory, is left to chance.
	s.gateways = make([]*process, len(gateways))
	for _, i := range rand.Perm(len(gateways)) {
		g := gateways[i]
		if s.gateways[i], err = startCaddy(ctx, dir, g.name, g.bin, o.procs, g.global, g.directives+"\treverse_proxy "+s.site.addr+"\n"); err != nil {
			return nil, err
		}
	}
	protected := s.gateways[len(gateways)-1]
	ours, err := passChallenge(ctx, protected)
	if err != nil {
		return nil, fmt.Errorf("passing a challenge: %w", err)
	}
	if err := check(protected, ours); err != nil {
		return nil, err
	}
	for i, g := range gateways {
		v := &variant{name: g.name, process: s.gateways[i], target: targets[g.name]}
		if v.load, err = newLoad(v.process.addr, requestBytes(g.path, ours), o.connections); err != nil {
			return nil, err
		}
		s.variants = append(s.variants, v)
	}
	return s, nil
}

// targets are the most that a variant may cost, as a ratio of CPU time.
var targets = map[string]float64{"unprotected": 1.02, "protected": 1.04}

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

// startCaddy starts a gateway with global options and site directives of its own.
func startCaddy(ctx context.Context, dir, name, bin string, procs int, global, directives string) (*process, error) {
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
	text := "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n" + global + "}\n\n" +
		"http://" + host + ":" + port + " {\n\tbind 127.0.0.1\n" + directives + "}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing a Caddyfile: %w", err)
	}
	env := append(os.Environ(),
		"GOMAXPROCS="+strconv.Itoa(procs), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	return start(ctx, name, addr, env, bin, "run", "--config", config, "--adapter", "caddyfile")
}

const stepgateOptions = `	stepgate {
		store bolt
		brand "Example Casino"
		sms {
			countries ID
			console
		}
	}
`

// stepUp protects the guarded path and, so that there are ten rules as on a real
// site, nine others.
func stepUp(s *site) string {
	var b strings.Builder
	fmt.Fprintf(&b, `	step_up {
		identity upstream http://%s/api/me {
			cookie  %s
			subject json:id
			phone   json:phone
			login   json:username
		}
		settings /account/security
		protect statement {
			path       %s*
			method     GET
			max_age    1h
			unenrolled registered_phone
		}
`, s.addr, sessionCookie, guardedPath)
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
