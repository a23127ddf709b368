package routers

import (
	"fmt"
	"strings"
)

// harmless are requests that no rule is about, however odd they look.
var harmless = []string{
	"GET /", "GET /games", "GET /games/", "GET /games/tom%20jerry", "GET /games/tom+jerry", "GET /games/slot.html", "GET /assets/app.3f2a.js", "GET /assets/css/site.css?v=1.2;3",
	"GET /search?q=withdraw", "GET /search?q=a%26b&page=2", "GET /login?next=/wallet/withdraw", "GET /login?next=%2Fwallet%2Fwithdraw", "GET /wallet", "GET /wallet/", "GET /wallet/withdrawals-history",
	"GET /wallet/withdraw-help", "GET /help/wallet/withdraw", "GET /account", "GET /account/exports", "GET /account/phones", "GET /api/games", "GET /api/user", "GET /caf%C3%A9/menu", "GET /%E2%82%AC/rates",
	"GET /a//b", "GET /a/./b", "GET /a/../b", "GET /a;b=c/d", "GET /~player", "GET /100%25", "GET /a:b@c", "GET /a,b;c=d", "GET /.well-known/security.txt", "GET /favicon.ico", "GET /games?x=%zz", "GET /games?",
	"POST /games/spin", "POST /login", "POST /wallet/deposit", "GET /wallet/withdraw", "POST /account/export-settings", "HEAD /games", "GET /GAMES", "GET /games/%41", "GET /games/a%2Fb", "GET /games/..hidden",
	"GET /games/it's(here)!*", "GET /games/$1", "GET /x?_method=GET", "GET /x?route=home", "GET /?url=home", "GET /?q=jackpot", "GET /?s=poker", "DELETE /games/7", "PUT /games/7", "OPTIONS /games",
}

// controls sends harmless requests directly and through the gateway, and returns
// how many got the router's own answer, the same both ways.
func (c *comparison) controls() int {
	passed := 0
	for _, line := range harmless {
		if c.router == "php-scripts" && line == "GET /wallet/withdraw" {
			continue // there its path is protected for every method
		}
		raw := harmlessRequest(line)
		direct, err := send(c.address, raw, false)
		if err != nil {
			c.t.Errorf("%s has no answer: %v", line, err)
			continue
		}
		through, err := send(c.gateway.guarded[c.router], raw, false)
		switch {
		case err != nil:
			c.t.Errorf("%s has no answer through the gateway: %v", line, err)
		case through.status != direct.status || through.body != direct.body:
			c.t.Errorf("%s through the gateway = %d %q, want the router's %d %q", line, through.status, through.body, direct.status, direct.body)
		default:
			passed++
		}
	}
	return passed
}

func harmlessRequest(line string) []byte {
	body := ""
	if strings.HasPrefix(line, "P") {
		body = "a=b&x=%zz+"
	}
	return fmt.Appendf(nil, "%s HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\nX-Mine:  a  b\r\nConnection: close\r\n%s%s",
		line, sessionCookie, map[bool]string{true: formKind + "\r\n"}[body != ""], byLength(body))
}
