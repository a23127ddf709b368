package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// sends asks for a code by a withdrawal with headers, and reports whether one was sent.
func (p *player) sends(amount int, header ...string) bool {
	p.g.t.Helper()
	body := form("amount", fmt.Sprint(amount), "account", "BCA 1234567890")
	page := p.do("POST", "/wallet/withdraw", formType, body, header...).want(http.StatusUnauthorized)
	return !strings.Contains(page.body, "The SMS could not be sent.")
}

// twoEach lets two codes go to each address.
var twoEach = strings.Replace(ordinarySMS, "limit address 10000", "limit address 2", 1)

// Whoever drains the operator's money writes another address into every request.
func TestAttackSpoofedAddressesAreOneAddress(t *testing.T) {
	g := start(t, config{sms: twoEach})
	budi := g.login("budi")
	for i, header := range [][]string{
		{"X-Forwarded-For", "203.0.113.1"}, {"X-Real-IP", "203.0.113.2", "Forwarded", "for=203.0.113.2"},
		{"X-Forwarded-For", "203.0.113.3", "X-Real-IP", "203.0.113.3"}, {"Forwarded", `for="[2001:db8::4]:1"`}, {"X-Client-IP", "203.0.113.5"},
		{"True-Client-IP", "203.0.113.6", "CF-Connecting-IP", "203.0.113.6"}, {"X-Forwarded-For", "203.0.113.7, 203.0.113.8"},
	} {
		if sent := budi.sends(1000+i, header...); sent != (i < 2) {
			t.Errorf("code %d under %q was sent: %v, want the first two only", i+1, header, sent)
		}
	}
}

// Behind a proxy that adds the address it sees, everything before that is the client's.
func TestBehindAProxyTheLastAddressThatItWroteCounts(t *testing.T) {
	for _, c := range []struct {
		name, servers string
		// forwarded are the values of X-Forwarded-For, and sent how many codes go out.
		forwarded []string
		sent      int
	}{
		{"strict", "trusted_proxies static 127.0.0.1/32\n trusted_proxies_strict", []string{"198.51.100.1, 203.0.113.9", "198.51.100.2, 203.0.113.9", "198.51.100.3, 203.0.113.9", "203.0.113.9"}, 2},
		{"strict, of two clients", "trusted_proxies static 127.0.0.1/32\n trusted_proxies_strict", []string{"203.0.113.9", "203.0.113.9", "203.0.113.10", "203.0.113.10", "203.0.113.10"}, 4},
		{"strict, another proxy", "trusted_proxies static 192.0.2.1/32\n trusted_proxies_strict", []string{"203.0.113.9", "203.0.113.10", "203.0.113.11"}, 2},
		// What the start and `stepgate check` warn of.
		{"loose", "trusted_proxies static 127.0.0.1/32", []string{"198.51.100.1, 203.0.113.9", "198.51.100.2, 203.0.113.9", "198.51.100.3, 203.0.113.9"}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := start(t, config{sms: twoEach, servers: c.servers})
			budi := g.login("budi")
			sent := 0
			for i, forwarded := range c.forwarded {
				if budi.sends(1000+i, "X-Forwarded-For", forwarded) {
					sent++
				}
			}
			if sent != c.sent {
				t.Errorf("%d codes were sent, want %d", sent, c.sent)
			}
			warned := false
			for _, entry := range g.log("log.json") {
				warned = warned || entry["level"] == "warn" && strings.HasPrefix(fmt.Sprint(entry["msg"]), "CLIENT ADDRESSES: trusted_proxies without")
			}
			if warned != (c.name == "loose") {
				t.Errorf("the start warned of the server: %v", warned)
			}
		})
	}
}
