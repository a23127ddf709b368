//go:build unix

package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/leaktest"
)

// node is one gateway of a cluster.
type node struct {
	c             *cluster
	name, address string
	rings, config string // the folder of the storage, and the Caddyfile
	proxy         *proxy

	cmd   *exec.Cmd
	ended chan struct{}
	mu    sync.Mutex // guards out
	out   strings.Builder
}

// nodeCaddyfile has, in this order, the storage, the port, the gateway's name and twice
// the site.
const nodeCaddyfile = `{
	admin off
	persist_config off
	storage file_system %q
	storage_clean_interval off
	grace_period 2s
	log {
		output stderr
		level ERROR
	}
	stepgate {
		store postgres {env.STEPGATE_DSN} {
			pool 8
			timeout 2s
		}
		brand "Kasino Melati" {
			time_zone Asia/Jakarta
		}
		sms {
			console
			countries ID
			limit number 100000 per 1h
			limit account 100000 per 1h
			limit address 100000 per 1h
			limit network 100000 per 1h
			limit block 100000 per 1h
			limit country 100000 per 1h
			limit all 100000 per 1h
		}
	}
}

http://localhost:%s {
	bind 127.0.0.1
	header Gateway %s
	step_up {
		identity upstream %s/api/me {
			cookie casino_session
			subject json:id
			login json:username
			phone json:phone
		}
		settings /account/security
		login_page /login
		protect withdrawal {
			path /wallet/withdraw* /api/v1/withdrawals*
			method POST
			single_use
			show amount {form.amount} {json.amount}
			show to {form.account} {json.account}
			unenrolled registered_phone
		}
		protect statement {
			path /wallet
			method GET
			max_age 5m
			unenrolled registered_phone
		}
	}
	reverse_proxy %s
}
`

// newNode prepares a gateway whose key ring lies in the folder rings.
func (c *cluster) newNode(name, rings string) *node {
	c.t.Helper()
	n := &node{c: c, name: name, rings: rings, proxy: startProxy(c.t, c.db.Address())}
	n.config = filepath.Join(c.t.TempDir(), "Caddyfile")
	n.move()
	c.t.Cleanup(func() { n.stop(); n.checkOutput() })
	return n
}

// checkOutput fails the test if a gateway has printed a number or a code beside the
// messages that it is there to print (invariant I8).
func (n *node) checkOutput() {
	var secrets leaktest.Secrets
	for _, number := range []string{"+6281234567890", "+6281298765432", "+628111222333"} {
		secrets.AddNumber("a player's number", number)
	}
	n.c.phones.mu.Lock()
	for _, code := range n.c.phones.codes {
		secrets.AddCode("a code", code)
	}
	n.c.phones.mu.Unlock()
	secrets.Check(n.c.t, "what "+n.name+" prints", n.output())
}

// move gives the gateway a free port.
func (n *node) move() {
	n.c.t.Helper()
	n.address = freeAddress(n.c.t)
	_, port, err := net.SplitHostPort(n.address)
	if err != nil {
		n.c.t.Fatal(err)
	}
	text := fmt.Sprintf(nodeCaddyfile, n.rings, port, n.identity(), n.c.back.URL, n.c.back.URL)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		n.c.t.Fatal(err)
	}
}

// identity tells the gateway from whatever else may listen on its port.
func (n *node) identity() string { return n.name + "@" + n.proxy.address() }

func (n *node) url() string {
	_, port, _ := net.SplitHostPort(n.address)
	return "http://localhost:" + port
}

// dialLoopback connects to 127.0.0.1 whatever the host is called.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// begin starts the process.
func (n *node) begin() {
	n.c.t.Helper()
	cmd := exec.Command(binary, "run", "--config", n.config, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(n.config), "XDG_CONFIG_HOME=", "XDG_DATA_HOME=",
		"STEPGATE_DSN=postgres://stepgate@"+n.proxy.address()+"/postgres?sslmode=disable&application_name="+n.name)
	printed, err := cmd.StderrPipe()
	if err != nil {
		n.c.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.c.t.Fatal(err)
	}
	ended := make(chan struct{})
	n.cmd, n.ended = cmd, ended
	go func() {
		defer close(ended)
		n.c.phones.read(bufio.NewScanner(printed), n)
		_ = cmd.Wait() // how it ended shows in what it printed
	}()
}

// start starts the process and waits until it serves.
func (n *node) start() {
	n.c.t.Helper()
	n.begin()
	if n.serves() {
		return
	}
	// Another process may have taken the port in the meantime.
	n.stop()
	n.move()
	n.begin()
	if !n.serves() {
		n.c.t.Fatalf("%s does not serve:\n%s", n.name, n.output())
	}
}

// serves waits until the gateway answers, and returns false if it ends instead, or
// takes too long.
func (n *node) serves() bool {
	client := &http.Client{Timeout: time.Second, Transport: n.c.http}
	for began := time.Now(); time.Since(began) < patience; {
		if res, err := client.Get(n.url() + "/login"); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK && res.Header.Get("Gateway") == n.identity() {
				return true
			}
		}
		select {
		case <-n.ended:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return false
}

// Write keeps what the process prints.
func (n *node) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.out.Write(p)
}

func (n *node) output() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.out.String()
}

func (n *node) signal(s syscall.Signal) { _ = n.cmd.Process.Signal(s) }

// kill ends the process as a power cut does.
func (n *node) kill() {
	n.signal(syscall.SIGKILL)
	<-n.ended
}

// stop ends the process in order, if it runs.
func (n *node) stop() {
	if n.cmd == nil {
		return
	}
	n.signal(syscall.SIGCONT)
	n.signal(syscall.SIGTERM)
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.kill()
	}
}

// phones are the players' phones.
type phones struct {
	mu sync.Mutex // guards codes and came
	// codes are those of each message, by its reference.
	codes map[string]string
	came  chan struct{} // closed and replaced when a code has come
}

func newPhones() *phones { return &phones{codes: map[string]string{}, came: make(chan struct{})} }

var (
	codeInSMS = regexp.MustCompile(`(?:^|[^0-9.])([0-9]{6})(?:[^0-9]|$)`)
	refOfSMS  = regexp.MustCompile(`^└─ ref ([A-Za-z0-9_-]+),`)
)

// read takes the messages out of what the console sender prints, and hands on the
// rest.
func (p *phones) read(lines *bufio.Scanner, n *node) {
	code := ""
	for lines.Scan() {
		line := lines.Text()
		ref := refOfSMS.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "┌─ "):
			code = ""
		case strings.HasPrefix(line, "│ "):
			if m := codeInSMS.FindStringSubmatch(line); code == "" && m != nil {
				code = m[1]
			}
		case ref != nil:
			p.mu.Lock()
			p.codes[ref[1]] = code
			close(p.came)
			p.came = make(chan struct{})
			p.mu.Unlock()
		default:
			fmt.Fprintln(n, line)
		}
	}
}

// refOf is the reference of a message, by the challenge that it is for and which of its
// messages it is.
func refOf(id string, send int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "stepgate sms %s//%d", id, send))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// newest returns the code of the last message of a challenge, and a channel that is
// closed when another message has come.
func (p *phones) newest(challenge string) (code string, came <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for send := 3; send > 0 && code == ""; send-- {
		code = p.codes[refOf(challenge, send)]
	}
	return code, p.came
}

// code waits for the code of a challenge; empty if none comes.
func (p *phones) code(challenge string, wait time.Duration) string {
	for over := time.After(wait); ; {
		code, came := p.newest(challenge)
		if code != "" {
			return code
		}
		select {
		case <-came:
		case <-over:
			return ""
		}
	}
}

func (c *cluster) code(t *testing.T, challenge string) string {
	t.Helper()
	code := c.phones.code(challenge, patience)
	if code == "" {
		t.Fatalf("no SMS came for challenge %s", challenge)
	}
	return code
}
