package vonagetest

import (
	"context"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
)

// links are the ways in which a server is reached.
type links struct {
	mu      sync.Mutex   // guards what follows
	tb      testing.TB   // of Start
	address string       // of the listener; empty before Start
	tcp     *http.Server // nil before Start and while it refuses
	memory  *http.Server // nil before Client and while it refuses
	pipes   *pipes       // as memory
	refuses bool
}

// Start listens on a free port of this machine until the test ends, and returns the
// base URL.
func (s *Server) Start(tb testing.TB) string {
	tb.Helper()
	s.links.mu.Lock()
	defer s.links.mu.Unlock()
	s.links.tb, s.links.address = tb, "127.0.0.1:0"
	if err := s.links.listen(s); err != nil {
		tb.Fatalf("listening: %v", err)
	}
	tb.Cleanup(s.Close)
	return "http://" + s.links.address
}

// Client returns a client whose connections lead to the server through memory, whatever
// host they are for and whether or not they should be encrypted. It works until the test
// ends.
func (s *Server) Client(tb testing.TB) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return s.links.dial(ctx, s) }
	transport := &http.Transport{DialContext: dial, DialTLSContext: dial}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		s.Close()
	})
	return &http.Client{Transport: transport}
}

// Refuse breaks all connections, and refuses new ones until [Server.Accept].
func (s *Server) Refuse() {
	s.links.mu.Lock()
	defer s.links.mu.Unlock()
	s.links.refuses = true
	s.links.stop()
}

// Accept ends what Refuse began, under the same address.
func (s *Server) Accept() {
	s.links.mu.Lock()
	defer s.links.mu.Unlock()
	s.links.refuses = false
	if s.links.address == "" || s.links.tcp != nil {
		return
	}
	if err := s.links.listen(s); err != nil {
		s.links.tb.Errorf("listening again: %v", err)
	}
}

// listen serves at l.address. mu is held.
func (l *links) listen(s *Server) error {
	listener, err := net.Listen("tcp", l.address)
	if err != nil {
		return err
	}
	l.address = listener.Addr().String()
	l.tcp = serve(s, listener)
	return nil
}

func serve(s *Server, listener net.Listener) *http.Server {
	server := &http.Server{Handler: s}
	go func() { _ = server.Serve(listener) }() // it ends when the server is closed
	return server
}

// stop ends every connection. mu is held.
func (l *links) stop() {
	for _, server := range []*http.Server{l.tcp, l.memory} {
		if server != nil {
			_ = server.Close() // of an error nothing follows
		}
	}
	l.tcp, l.memory, l.pipes = nil, nil, nil
}

func (l *links) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuses = true
	l.stop()
}

// dial connects through memory.
func (l *links) dial(ctx context.Context, s *Server) (net.Conn, error) {
	l.mu.Lock()
	if l.refuses {
		l.mu.Unlock()
		return nil, refusal()
	}
	if l.memory == nil {
		l.pipes = &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		l.memory = serve(s, l.pipes)
	}
	p := l.pipes
	l.mu.Unlock()
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.done:
		return nil, refusal()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// refusal is the error of a port where nobody listens.
func refusal() error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: memoryAddr{}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// pipes is a listener in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{} // closed by Close
	once  sync.Once
}

// Accept waits for the next connection.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close ends the listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr returns no address anybody could dial.
func (p *pipes) Addr() net.Addr { return memoryAddr{} }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "memory" }
