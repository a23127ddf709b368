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
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer far.Close()
	if !p.add(near, far) {
		return
	}
	defer p.remove(near, far)
	var wg sync.WaitGroup
	wg.Go(func() { p.pump(near, far) })
	wg.Go(func() { p.pump(far, near) })
	wg.Wait()
}

// add notes the two ends of a connection, and refuses while the line is cut.
func (p *proxy) add(ends ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range ends {
		if !p.cuts {
			p.conns[conn] = true
		}
	}
	return !p.cuts
}

func (p *proxy) remove(ends ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range ends {
		delete(p.conns, conn)
	}
}

// pump passes bytes on, and ends both ends when one has ended.
func (p *proxy) pump(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		flows := p.flows
		p.mu.Unlock()
		<-flows
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
