//go:build unix

package e2e

import (
	"net"
	"sync"
	"testing"
)

// proxy stands between a gateway and the database, as the network does, and fails
// as the network does.
type proxy struct {
	ln     net.Listener
	target string

	mu    sync.Mutex // guards the rest
	cuts  bool
	conns map[net.Conn]bool
	// flows is closed while bytes may pass, and open while they are held back.
	flows chan struct{}
	// lives counts how often the connections were forgotten.
	lives int
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, target: target, conns: map[net.Conn]bool{}, flows: make(chan struct{})}
	close(p.flows)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed
			}
			go p.serve(conn)
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		p.heal()
		p.cut()
	})
	return p
}

func (p *proxy) address() string { return p.ln.Addr().String() }

func (p *proxy) serve(near net.Conn) {
	defer near.Close()
	// The database hears nothing of who comes to a line that is cut.
	if !p.add(near) {
		return
	}
	defer p.remove(near)
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer far.Close()
	if !p.add(far) {
		return
	}
	defer p.remove(far)
	var wg sync.WaitGroup
	wg.Go(func() { p.pump(near, far) })
	wg.Go(func() { p.pump(far, near) })
	wg.Wait()
}

// add notes an end of a connection, and refuses while the line is cut.
func (p *proxy) add(end net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cuts {
		p.conns[end] = true
	}
	return !p.cuts
}

func (p *proxy) remove(end net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, end)
}

// pump passes bytes on, and ends both ends when one has ended.
func (p *proxy) pump(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	p.mu.Lock()
	lives := p.lives
	p.mu.Unlock()
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		flows, forgotten := p.flows, p.lives != lives
		p.mu.Unlock()
		<-flows
		if forgotten && err == nil {
			continue
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut ends all connections and refuses new ones.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts = true
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// stall holds all bytes back. Connections stay, and new ones seem to come about.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flows:
		p.flows = make(chan struct{})
	default: // it is stalled
	}
}

// forget lets the connections that there are lead nowhere from now on, as a firewall
// does that was restarted. New ones are as good as ever.
func (p *proxy) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lives++
}

// heal ends cut and stall. What was held back arrives.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts = false
	select {
	case <-p.flows:
	default:
		close(p.flows)
	}
}
