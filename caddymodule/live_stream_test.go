package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

const upgrade = "GET %s HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// cookies returns the Cookie header of a player.
func (p *player) cookies() string {
	var all []string
	for _, c := range p.http.Jar.Cookies(p.url()) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// The gate wraps neither requests nor answers, so whatever Caddy can stream it
// streams, on open routes and, with a grant, on protected ones.
func TestWebSocketsPassThrough(t *testing.T) {
	g := start(t, config{})
	p := g.login(budisLogin)
	echoes := func(target string) (status int, echo string) {
		t.Helper()
		conn, err := net.DialTimeout("tcp", g.address, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, upgrade, target, p.cookies())
		r := bufio.NewReader(conn)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusSwitchingProtocols {
			return res.StatusCode, ""
		}
		fmt.Fprint(conn, "hello\n")
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		// Caddy's proxy races with itself if it is stopped while a tunnel ends
		// (hijackedConn.Write and ReadFrom).
		g.await(func() bool {
			var stacks strings.Builder
			return pprof.Lookup("goroutine").WriteTo(&stacks, 1) == nil && !strings.Contains(stacks.String(), "handleUpgradeResponse")
		})
		return res.StatusCode, line
	}
	if status, echo := echoes("/ws"); status != http.StatusSwitchingProtocols || echo != "hello\n" {
		t.Errorf("an open WebSocket answered %d %q, want 101 and an echo", status, echo)
	}
	if status, _ := echoes("/ws/private"); status != http.StatusForbidden {
		t.Errorf("a protected WebSocket answered %d, want 403", status)
	}
	if n := len(g.site.reached("/ws/private")); n != 0 {
		t.Fatalf("the site got %d protected upgrades without a grant, want none", n)
	}
	p.pass("/account/email")
	if status, echo := echoes("/ws/private"); status != http.StatusSwitchingProtocols || echo != "hello\n" {
		t.Errorf("a WebSocket with a grant answered %d %q, want 101 and an echo", status, echo)
	}
}

// await waits until something holds that other goroutines bring about.
func (g *gateway) await(holds func() bool) {
	g.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			g.t.Fatal("waited in vain")
		}
	}
}

// pass gets a grant for the rule of a page.
func (p *player) pass(target string) {
	p.g.t.Helper()
	id := p.get(target).want(http.StatusUnauthorized).challenge()
	p.post(target, solution(id, "sms", code(p.g.t, budisPhone))...).want(http.StatusSeeOther)
	if p.cookie("stepgate-grant") == "" {
		p.g.t.Fatal("a passed challenge gave no grant")
	}
}

// Each event has to arrive when it is sent, not when the stream ends.
func TestServerSentEventsPassThrough(t *testing.T) {
	g := start(t, config{})
	p := g.login(budisLogin)
	first := func(target string) (status int, line string) {
		t.Helper()
		req, err := http.NewRequest("GET", p.url().String()+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		res, err := p.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() // the casino's stream never ends by itself
		if res.StatusCode != http.StatusOK {
			_, _ = io.Copy(io.Discard, res.Body)
			return res.StatusCode, ""
		}
		line, err = bufio.NewReader(res.Body).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, line
	}
	if status, line := first("/live"); status != http.StatusOK || line != "event: jackpot\n" {
		t.Errorf("an open stream answered %d %q, want 200 and an event", status, line)
	}
	if status, _ := first("/live/private"); status != http.StatusUnauthorized {
		t.Errorf("a protected stream answered %d, want 401", status)
	}
	p.pass("/account/email")
	if status, line := first("/live/private"); status != http.StatusOK || line != "event: jackpot\n" {
		t.Errorf("a stream with a grant answered %d %q, want 200 and an event", status, line)
	}
}
