package caddymodule_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/stepgate/stepgate/internal/leaktest"
)

// The live tests run a real Caddy in this process, one after another: a process
// has one configuration. They use a casino as the site, and let nothing of theirs
// outside of a temporary folder. Caddy logs all that it can, and at the end of each
// test no secret may stand in that (invariant I8).

// gateway is a running Caddy with the gate in front of a casino.
type gateway struct {
	t    *testing.T
	dir  string
	site *site
	// address is where the gateway listens, descriptor the number under which Caddy
	// gets the listening socket.
	address    string
	descriptor string
	// secrets are what must stand in no log.
	secrets leaktest.Secrets
}

// start runs a gateway with a configuration made of the parts that differ between
// tests.
func start(t *testing.T, c config) *gateway {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a server")
	}
	dir, err := os.MkdirTemp("", "sg") // short: the path of a socket has 108 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	g := &gateway{t: t, dir: dir, site: newSite(t)}
	g.listen()
	g.keepSecret()
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("Stop = %v", err)
		}
		storeDown.Store(false)
		g.checkLogs()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := g.load(c); err != nil {
		t.Fatalf("Load = %v", err)
	}
	return g
}

// config is what differs between the configurations of tests.
type config struct {
	// log turns the access log on. With it Caddy counts the bytes of a body without
	// a lock, and the race detector may say so of a body that goes on to the site.
	log bool
	// format is how the log is written, "json" if empty.
	format string
	// store is the name of the store, "bolt" if empty.
	store string
	// sms replaces what the sms block has.
	sms string
	// stepUp replaces the step_up block, site what follows it.
	stepUp, site string
	// brand is the site's name.
	brand string
	// servers is what the option of that name has.
	servers string
	// fault makes the configuration fail when it is "provision" or "start".
	fault string
}

const ordinaryStepUp = `
	step_up {
		identity upstream {SITE}/api/me {
			cookie  casino_session
			bearer
			subject json:id
			login   json:username
			phone   json:phone
		}
		settings   /account/security
		login_page /login
		protect withdrawal {
			path /wallet/withdraw* /api/v1/withdrawals
			method POST
			single_use
			show amount {form.amount} {json.amount}
			show to {form.account} {json.account}
			unenrolled registered_phone
		}
		protect contact {
			path /account/email /account/phone /ws/private /live/private
			unenrolled registered_phone
		}
	}`

const ordinarySMS = `
			inbox` + ampleLimits

// ampleLimits are so wide that no test reaches them.
const ampleLimits = `
			limit number 10000 per 1h
			limit account 10000 per 1h
			limit address 10000 per 1h
			limit network 10000 per 1h
			limit block 10000 per 1h
			limit country 10000 per 1h
			limit all 10000 per 1h`

const ordinarySite = `
	reverse_proxy {SITE}`

// json returns the configuration for Caddy.
func (g *gateway) json(c config) []byte {
	g.t.Helper()
	if c.store == "" {
		c.store = "bolt"
	}
	if c.format == "" {
		c.format = "json"
	}
	if c.sms == "" {
		c.sms = ordinarySMS
	}
	if c.stepUp == "" {
		c.stepUp = ordinaryStepUp
	}
	if c.site == "" {
		c.site = ordinarySite
	}
	if c.brand == "" {
		c.brand = "Example Casino"
	}
	log := ""
	if c.log {
		log = "\tlog\n"
	}
	text := strings.NewReplacer("{SITE}", g.site.server.URL, "{DIR}", g.dir, "{BIND}", "fd/"+g.descriptor).Replace(`{
	admin unix/{DIR}/admin.sock
	persist_config off
	auto_https off
	storage file_system {DIR}/caddy
	metrics
	log {
		output file {DIR}/log.json
		format ` + c.format + `
		level DEBUG
	}
	log audit {
		output file {DIR}/audit.json
		format json
		include stepgate.audit
	}
	servers {
		` + c.servers + `
	}
	stepgate {
		store ` + c.store + ` {DIR}/stepgate.db
		brand "` + c.brand + `" {
			languages en
		}
		sms {` + c.sms + `
		}
	}
}

http://localhost {
	bind {BIND}
` + log + c.stepUp + c.site + `
}
`)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		g.t.Fatalf("Adapt = %v in\n%s", err, text)
	}
	if c.fault == "" {
		return adapted
	}
	var tree map[string]any
	if err := json.Unmarshal(adapted, &tree); err != nil {
		g.t.Fatal(err)
	}
	tree["apps"].(map[string]any)["fault"] = map[string]string{"at": c.fault}
	adapted, err = json.Marshal(tree)
	if err != nil {
		g.t.Fatal(err)
	}
	return adapted
}

// load loads a configuration, as a reload does.
func (g *gateway) load(c config) error { return caddy.Load(g.json(c), true) }

// log returns the entries of a log file as they are now.
func (g *gateway) log(name string) []map[string]any {
	g.t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		g.t.Fatal(err)
	}
	var entries []map[string]any
	for line := range strings.Lines(string(text)) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			g.t.Fatalf("log line %q: %v", line, err)
		}
		entries = append(entries, entry)
	}
	return entries
}

// admin gets something from Caddy's admin endpoint.
func (g *gateway) admin(path string) string {
	g.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(g.dir, "admin.sock"))
	}}}
	res, err := client.Get("http://localhost" + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		g.t.Fatalf("GET %s = %d, %v", path, res.StatusCode, err)
	}
	return string(body)
}

// listen opens the socket that Caddy gets. With one of its own Caddy would open
// another for each configuration, and lose what waits to be accepted when it
// closes the old one. The descriptor stays open to the end of the process, because
// Caddy keeps it in mind.
func (g *gateway) listen() {
	g.t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		g.t.Fatal(err)
	}
	g.address = ln.Addr().String()
	file, err := ln.File()
	if err != nil {
		g.t.Fatal(err)
	}
	descriptors = append(descriptors, file)
	g.descriptor = strconv.Itoa(int(file.Fd()))
	if err := ln.Close(); err != nil {
		g.t.Fatal(err)
	}
}

// descriptors keeps the sockets from being closed.
var descriptors []*os.File
