package routers

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// harmless are requests that no rule is about, however odd they look.
var harmless = []string{
	"GET /", "GET /games", "GET /games/", "GET /games/tom%20jerry", "GET /games/tom+jerry", "GET /games/slot.html", "GET /assets/app.3f2a.js", "GET /assets/css/site.css?v=1.2;3",
	"GET /search?q=withdraw", "GET /search?q=a%26b&page=2", "GET /login?next=/wallet/withdraw", "GET /login?next=%2Fwallet%2Fwithdraw", "GET /wallet", "GET /wallet/", "GET /wallet/withdrawals-history",
	"GET /wallet/withdraw-help", "GET /help/wallet/withdraw", "GET /account", "GET /account/exports", "GET /account/phones", "GET /api/games", "GET /api/user", "GET /caf%C3%A9/menu", "GET /%E2%82%AC/rates",
	"GET /a//b", "GET /a/./b", "GET /a/../b", "GET /a;b=c/d", "GET /~player", "GET /100%25", "GET /a:b@c", "GET /a,b;c=d", "GET /.well-known/security.txt", "GET /favicon.ico", "GET /games?x=%zz", "GET /games?",
	"POST /games/spin", "POST /login", "POST /wallet/deposit", "GET /wallet/withdraw", "POST /account/export-settings", "HEAD /games", "GET /GAMES", "GET /games/%41", "GET /games/a%2Fb", "GET /games/..hidden",
	"GET /games/%F0%9F%8E%B0", "GET /games/50%25%20off", "GET /games/a%2Bb%20c", "GET //assets/app.js", "GET /assets/../assets/app.js", "GET /assets/app.min.js;v=2", "GET /games/wallet%20withdraw",
	"GET /games/it's(here)!*", "GET /games/$1", "GET /x?_method=GET", "GET /x?route=home", "GET /?url=home", "GET /?q=jackpot", "GET /?s=poker", "GET /share?url=/wallet/withdraw", "GET /search?q=/wallet/withdraw", "DELETE /games/7", "PUT /games/7", "OPTIONS /games",
}

// formPages are those of the harmless requests that are not where a path is
// protected for every method.
var formPages = []string{"GET /wallet/withdraw", "GET /share?url=/wallet/withdraw", "GET /search?q=/wallet/withdraw"}

// controls sends harmless requests directly and through the gateway, and returns
// how many got the router's own answer, the same both ways.
func (c *comparison) controls() int {
	passed := 0
	for _, line := range harmless {
		if c.router == "php-scripts" && slices.Contains(formPages, line) {
			continue
		}
		raw := harmlessRequest(line)
		direct, err := send(c.address, raw, false)
		if err != nil {
			c.t.Errorf("%s has no answer: %v", line, err)
			continue
		}
		through, err := send(c.gateway.guarded[c.router], raw, false)
		for range 2 {
			if err != nil || through.status != http.StatusBadGateway {
				break
			}
			// The router has closed a connection at the moment at which Caddy took it up
			// again.
			through, err = send(c.gateway.guarded[c.router], raw, false)
		}
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

// addedByCaddy are the headers that plain Caddy adds, or takes for the connection.
var addedByCaddy = []string{"Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "User-Agent", "Accept-Encoding", "Connection"}

// I12: what no rule is about arrives as it was sent: the target and the body byte
// for byte, and the header line for line but for what every proxy adds.
func TestInvariantI12HarmlessRequestsArriveByteForByte(t *testing.T) {
	arrived := make(chan string, 1)
	g := startGateway(t, map[string]string{"recorder": startRecorder(t, arrived)})
	for _, line := range harmless {
		raw := harmlessRequest(line)
		a, err := send(g.guarded["recorder"], raw, false)
		if err != nil {
			t.Fatal(err)
		}
		if a.status != http.StatusNoContent {
			t.Errorf("%s = %d, want the site's own answer", line, a.status)
			continue
		}
		if got, want := withoutAdded(<-arrived), withoutAdded(string(raw)); got != want {
			t.Errorf("%s arrived as %q, want %q", line, got, want)
		}
	}
}

// startRecorder serves a site that keeps what it is sent as it is.
func startRecorder(t *testing.T, arrived chan<- string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the test has ended
			}
			record(conn, arrived)
		}
	}()
	return listener.Addr().String()
}

// record takes one request and answers it.
func record(conn net.Conn, arrived chan<- string) {
	defer conn.Close()
	var text strings.Builder
	r := bufio.NewReader(io.TeeReader(conn, &text))
	req, err := http.ReadRequest(r)
	if err != nil {
		return // who looks whether somebody listens sends nothing
	}
	_, _ = io.Copy(io.Discard, req.Body)
	arrived <- text.String()
	_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
}

// withoutAdded is a request with its header in order, its names and gaps in one
// spelling, and without what every proxy adds.
func withoutAdded(raw string) string {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	kept := []string{}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		name = http.CanonicalHeaderKey(name)
		if !slices.Contains(addedByCaddy, name) {
			kept = append(kept, name+": "+strings.TrimSpace(value))
		}
	}
	slices.Sort(kept)
	return lines[0] + "\r\n" + strings.Join(kept, "\r\n") + "\r\n\r\n" + body
}
