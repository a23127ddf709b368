package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func hosts(names ...string) caddyhttp.MatcherSet {
	m := caddyhttp.MatchHost(names)
	return caddyhttp.MatcherSet{&m}
}

func paths(names ...string) caddyhttp.MatcherSet {
	m := caddyhttp.MatchPath(names)
	return caddyhttp.MatcherSet{&m}
}

func route(sets ...caddyhttp.MatcherSet) caddyhttp.Route { return caddyhttp.Route{MatcherSets: sets} }

func TestAServerIsLocalIfNobodyElseReachesAnyOfItsSites(t *testing.T) {
	both := append(hosts("localhost"), paths("/a")...)
	for _, c := range []struct {
		name   string
		listen []string
		routes caddyhttp.RouteList
		want   bool
	}{
		{"localhost", []string{":80"}, caddyhttp.RouteList{route(hosts("localhost"))}, true},
		{"every name of this machine", []string{":80"}, caddyhttp.RouteList{
			route(hosts("localhost", "casino.localhost", "LOCALHOST.", "*.localhost")), route(hosts("127.0.0.1", "127.9.9.9", "::1", "[::1]")),
		}, true},
		{"localhost and a path", []string{":80"}, caddyhttp.RouteList{route(both)}, true},
		{"a name of others", []string{"127.0.0.1:80"}, caddyhttp.RouteList{route(hosts("casino.example"))}, false},
		{"a name that only looks like it", []string{":80"}, caddyhttp.RouteList{route(hosts("localhost.example"))}, false},
		{"a name that ends like it", []string{":80"}, caddyhttp.RouteList{route(hosts("notlocalhost"))}, false},
		{"an address of others", []string{":80"}, caddyhttp.RouteList{route(hosts("192.0.2.1"))}, false},
		{"every address", []string{":80"}, caddyhttp.RouteList{route(hosts("0.0.0.0"))}, false},
		{"a variable", []string{"127.0.0.1:80"}, caddyhttp.RouteList{route(hosts("{env.SITE}"))}, false},
		{"mixed names in one route", []string{":80"}, caddyhttp.RouteList{route(hosts("localhost", "casino.example"))}, false},
		{"mixed names in two", []string{":80"}, caddyhttp.RouteList{route(hosts("localhost")), route(hosts("casino.example"))}, false},
		{"a site without a name among them", []string{":80"}, caddyhttp.RouteList{route(hosts("localhost")), route()}, false},
		{"a site without a name, on this machine", []string{"127.0.0.1:80"}, caddyhttp.RouteList{route(hosts("localhost")), route()}, true},
		{"localhost or a path", []string{":80"}, caddyhttp.RouteList{route(hosts("localhost"), paths("/a"))}, false},
		{"a path only", []string{":80"}, caddyhttp.RouteList{route(paths("/a"))}, false},
		{"no route, on this machine", []string{"127.0.0.1:9080", "[::1]:9080", "localhost:9080", "tcp6/[::1]:80", "udp/127.0.0.1:443"}, nil, true},
		{"no route, on a range of ports", []string{"127.0.0.1:9080-9090"}, nil, true},
		{"no route, on all addresses", []string{":9080"}, nil, false},
		{"no route, on all of IPv4", []string{"0.0.0.0:9080"}, nil, false},
		{"no route, on all of IPv6", []string{"[::]:9080"}, nil, false},
		{"no route, on one of the network", []string{"192.0.2.1:9080"}, nil, false},
		{"no route, here and elsewhere", []string{"127.0.0.1:9080", ":9081"}, nil, false},
		{"no route, on a Unix socket", []string{"unix//run/casino.sock"}, nil, true},
		{"no route, on an abstract socket", []string{"unix/@casino"}, nil, true},
		{"a Unix socket and a name of others", []string{"unix//run/casino.sock"}, caddyhttp.RouteList{route(hosts("casino.example"))}, false},
		{"no route, on an inherited socket", []string{"fd/3"}, nil, false},
		{"what is no address", []string{"127.0.0.1:http:80"}, nil, false},
		{"nothing", nil, nil, false},
	} {
		if got := isLocal(&caddyhttp.Server{Listen: c.listen, Routes: c.routes}); got != c.want {
			t.Errorf("%s: isLocal = %v, want %v", c.name, got, c.want)
		}
	}
}

// validateCaddyfile validates a Caddyfile without a block of global options, which it
// gets with these lines in its sms block, and returns the warnings of the log. DIR
// stands for a folder of its own.
func validateCaddyfile(t *testing.T, smsBlock, sites string) (log string, err error) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	text := strings.ReplaceAll(`{
	admin off
	auto_https off
	storage file_system DIR/storage
	log {
		output file DIR/log.json
		level WARN
	}
	stepgate {
		brand "Example Casino"
		sms {
`+smsBlock+`
		}
	}
}
`+sites, "DIR", dir)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return "", err
	}
	var config *caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
		t.Fatal(err)
	}
	err = caddy.Validate(config)
	written, readErr := os.ReadFile(filepath.Join(dir, "log.json"))
	if readErr != nil && err == nil {
		t.Fatal(readErr)
	}
	return string(written), err
}

// siteAt is a site under an address, with more lines in its step_up block.
func siteAt(address, more string) string {
	return address + " {\n\tstep_up {\n\t\tidentity placeholder {http.auth.user.id}\n" + more + "\n\t}\n\treverse_proxy 127.0.0.1:9\n}\n"
}

// Real players must not meet a gateway that prints their codes.
func TestTheConsoleIsRefusedWhereOthersReachTheSite(t *testing.T) {
	const reason = "console {\n unsafe_console \"staging without real players\"\n}"
	for _, c := range []struct {
		name, sms, sites string
		refused          bool
	}{
		{"localhost", "console", siteAt("http://localhost:9080", ""), false},
		{"a name below localhost", "console", siteAt("http://casino.localhost:9080", ""), false},
		{"an address of this machine", "console", siteAt("http://127.0.0.1:9080, http://[::1]:9080", ""), false},
		{"no name, on this machine", "console", siteAt("http://:9080", ""), true},
		{"another host", "console", siteAt("http://casino.example", ""), true},
		{"another host on this machine", "console", strings.Replace(siteAt("http://casino.example", ""), "{\n", "{\n\tbind 127.0.0.1\n", 1), true},
		{"no name, bound to this machine", "console", strings.Replace(siteAt("http://:9080", ""), "{\n", "{\n\tbind 127.0.0.1\n", 1), false},
		{"localhost with another host", "console", siteAt("http://localhost:9080, http://casino.example:9080", ""), true},
		{"localhost beside another host", "console", siteAt("http://localhost:9080", "") + siteAt("http://casino.example:9080", ""), true},
		{"localhost beside no name", "console", siteAt("http://localhost:9080", "") + "http://:9080 {\n respond ok\n}\n", true},
		{"localhost, and a server without step_up elsewhere", "console", siteAt("http://localhost:9080", "") + "http://casino.example:9081 {\n respond ok\n}\n", false},
		{"two servers, one elsewhere", "console", siteAt("http://localhost:9080", "") + siteAt("http://casino.example:9081", ""), true},
		{"behind a proxy that players come through", "console", siteAt("http://localhost:9080", "public_url https://casino.example"), true},
		{"under a public URL on this machine", "console", siteAt("http://localhost:9080", "public_url http://localhost:9080"), false},
		{"as a backup", "webhook {\n url https://sms.example/send\n field to {to}\n field text {text}\n}\nprovider backup console", siteAt("http://casino.example", ""), true},
		{"with a reason", reason, siteAt("http://casino.example", ""), false},
	} {
		log, err := validateCaddyfile(t, c.sms, c.sites)
		switch {
		case !c.refused && err != nil:
			t.Errorf("%s: %v, want it accepted", c.name, err)
		case c.refused && (err == nil || !strings.Contains(err.Error(), "this site is not on this machine only: write a sender such as vonage or webhook, or unsafe_console and the reason")):
			t.Errorf("%s: %v, want it refused with what to write", c.name, err)
		case !c.refused && !strings.Contains(log, "SMS codes and full numbers are printed to standard error, and nothing is sent"):
			t.Errorf("%s: the log does not tell of it:\n%s", c.name, log)
		case c.sms == reason && !strings.Contains(log, `"reason":"staging without real players"`):
			t.Errorf("%s: the log does not give the reason:\n%s", c.name, log)
		}
	}
}

func TestUnsafeConsoleNeedsAReason(t *testing.T) {
	for _, block := range []string{"console {\n unsafe_console\n}", "console {\n unsafe_console \"\"\n}"} {
		if _, err := validateCaddyfile(t, block, siteAt("http://casino.example", "")); err == nil || !strings.Contains(err.Error(), "staging without real players") && !strings.Contains(err.Error(), "unsafe_console and the reason") {
			t.Errorf("%q: %v, want an error that asks for the reason", block, err)
		}
	}
}
