package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Caddy keeps what it has made of trusted_proxies to itself, so this also pins where.
func TestAServerThatTakesAddressesOfTheClientsChoiceIsTold(t *testing.T) {
	const ranges = `"trusted_proxies":{"source":"static","ranges":["10.0.0.0/8"]},`
	gate := `{"handler":"step_up",` + plainIdentity + `}`
	server := func(listen, options string, handlers ...string) string {
		return `"listen":["` + listen + `"],` + options + `"automatic_https":{"disable":true},"routes":[{"handle":[` + strings.Join(handlers, ",") + `]}]`
	}
	socket := "unix/" + filepath.Join(t.TempDir(), "s")
	for _, c := range []struct {
		name, servers string
		want          []string // what the warnings say, one each
	}{
		{"no proxy", `"s":{` + server("127.0.0.1:0", "", gate) + `}`, nil},
		{"any of what a proxy says", `"s":{` + server("127.0.0.1:0", ranges, gate) + `}`, []string{"trusted_proxies without trusted_proxies_strict"}},
		{"two blocks of one server", `"s":{` + server("127.0.0.1:0", ranges, gate, gate) + `}`, []string{"trusted_proxies without trusted_proxies_strict"}},
		{
			"two servers", `"s":{` + server("127.0.0.1:0", ranges, gate) + `},"s2":{` + server("127.0.0.2:0", ranges, gate) + `}`,
			[]string{"127.0.0.1:0", "127.0.0.2:0"},
		},
		{"the strict way", `"s":{` + server("127.0.0.1:0", ranges+`"trusted_proxies_strict":1,`, gate) + `}`, nil},
		{"a server without a gate", `"s":{` + server("127.0.0.1:0", ranges, `{"handler":"static_response"}`) + `}`, nil},
		{"a socket", `"s":{` + server(socket, "", gate) + `}`, []string{"have no address"}},
		{"any of what comes over a socket", `"s":{` + server(socket, `"trusted_proxies_unix":true,`, gate) + `}`, []string{"trusted_proxies_unix without trusted_proxies_strict"}},
		{"the strict way over a socket", `"s":{` + server(socket, `"trusted_proxies_unix":true,"trusted_proxies_strict":1,`, gate) + `}`, nil},
	} {
		dir := t.TempDir()
		if err := validateServers(t, plainApp, c.servers, dir); err != nil {
			t.Errorf("%s: validating = %v", c.name, err)
			continue
		}
		log, err := os.ReadFile(filepath.Join(dir, "log.json"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if got := strings.Count(string(log), "CLIENT ADDRESSES: "); got != len(c.want) {
			t.Errorf("%s: %d warnings, want %d:\n%s", c.name, got, len(c.want), log)
		}
		for _, want := range c.want {
			if !strings.Contains(string(log), want) {
				t.Errorf("%s: the log does not tell of %q:\n%s", c.name, want, log)
			}
		}
	}
}

// What stands in these headers anybody can write.
var spoofed = []string{
	"X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "X-Cluster-Client-Ip", "X-Original-Forwarded-For",
}

func TestAttackSpoofedAddressFromAnUntrustedPeer(t *testing.T) {
	for _, c := range []struct {
		name, peer string
		server     *caddyhttp.Server
		want       string
	}{
		{"a client", "192.0.2.1:1234", new(caddyhttp.Server), "192.0.2.1"},
		{"a client of a server that names no proxy", "192.0.2.1:1234", &caddyhttp.Server{ClientIPHeaders: spoofed, TrustedProxiesUnix: true}, "192.0.2.1"},
		{"a client over a socket", "@", &caddyhttp.Server{ClientIPHeaders: spoofed}, ""},
		{"a client outside of Caddy", "192.0.2.1:1234", nil, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		for _, name := range spoofed {
			r.Header.Set(name, "203.0.113.9")
		}
		r.Header.Set("Forwarded", "for=203.0.113.9")
		if c.server != nil {
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), c.server)
		}
		if got := clientIP(r); got != c.want {
			t.Errorf("%s: clientIP = %q, want %q", c.name, got, c.want)
		}
	}
}

// A proxy on the same machine speaks for its clients, and the last address that it wrote
// is the one it has seen.
func TestAProxyOverASocketSaysWhoItsClientsAre(t *testing.T) {
	server := &caddyhttp.Server{ClientIPHeaders: []string{"X-Forwarded-For"}, TrustedProxiesUnix: true, TrustedProxiesStrict: 1}
	for forwarded, want := range map[string]string{"203.0.113.9": "203.0.113.9", "198.51.100.1, 203.0.113.9": "203.0.113.9", "": "@"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "@"
		if forwarded != "" {
			r.Header = http.Header{"X-Forwarded-For": {forwarded}}
		}
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), server)
		if got := clientIP(r); got != want {
			t.Errorf("clientIP of a client for whom the proxy says %q = %q, want %q", forwarded, got, want)
		}
	}
}
