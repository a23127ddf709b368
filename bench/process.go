package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a gateway may take to start, to stop, and to send a code.
const patience = 20 * time.Second

// build builds both gateways into dir.
func build(ctx context.Context, dir string) (binaries, error) {
	const module = "github.com/stepgate/stepgate"
	bin := binaries{plain: filepath.Join(dir, "bin", "caddy"), stepgate: filepath.Join(dir, "bin", "stepgate")}
	for path, pkg := range map[string]string{bin.plain: module + "/bench/caddyplain", bin.stepgate: module + "/cmd/stepgate"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			return binaries{}, fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
	}
	return bin, nil
}

type binaries struct{ plain, stepgate string }

// process is a gateway that runs.
type process struct {
	name string
	addr string
	pid  int
	// codes are those that the console sender prints. The last one waits.
	codes chan string
	// idle is the memory that it used before the first request.
	idle memory

	cancel context.CancelFunc
	done   chan struct{} // closed when the process has ended

	mu   sync.Mutex // guards tail
	tail []string
}

// apart is the command that runs a gateway on a processor of its own, and nil where
// that is not possible. Without it the load, the site and the gateway chase one
// another over the processors, which blurs each figure by several per cent.
func apart() []string {
	if taskset, err := exec.LookPath("taskset"); err == nil && runtime.NumCPU() > 1 {
		return []string{taskset, "-c", strconv.Itoa(runtime.NumCPU() - 1)}
	}
	return nil
}

// stayAside keeps this program, and so the load and the site, off the processor of
// the gateways.
func stayAside(ctx context.Context) error {
	argv := apart()
	if argv == nil {
		return nil
	}
	others := fmt.Sprintf("0-%d", runtime.NumCPU()-2)
	if out, err := exec.CommandContext(ctx, argv[0], "-a", "-p", "-c", others, strconv.Itoa(os.Getpid())).CombinedOutput(); err != nil {
		return fmt.Errorf("leaving a processor to the gateways: %w: %s", err, out)
	}
	return nil
}

// start runs a gateway and waits until it listens on addr.
func start(ctx context.Context, name, addr string, env []string, argv ...string) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	argv = append(apart(), argv...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = env
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	printed, err := cmd.StderrPipe()
	if err != nil {
		cancel()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{
		name: name, addr: addr, pid: cmd.Process.Pid,
		codes: make(chan string, 1), cancel: cancel, done: make(chan struct{}),
	}
	go func() {
		defer close(p.done)
		p.read(printed)
		_ = cmd.Wait() // how it ended shows in what it printed
	}()
	if err := p.ready(ctx); err != nil {
		p.stop()
		return nil, fmt.Errorf("starting %s: %w; it printed:\n%s", name, err, p.printed())
	}
	if p.idle, err = readMemory(p.pid); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// ready waits until the process accepts connections.
func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.addr); err == nil {
			return conn.Close()
		}
		select {
		case <-again.C:
		case <-p.done:
			return errors.New("it ended")
		case <-ctx.Done():
			return fmt.Errorf("waiting for it to listen: %w", ctx.Err())
		}
	}
}

// stop ends the process and waits until it has ended.
func (p *process) stop() {
	p.cancel()
	<-p.done
}

// read takes in what the process prints, to its end.
func (p *process) read(from io.Reader) {
	const kept = 30
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		line := lines.Text()
		if code, ok := codeIn(line); ok {
			select {
			case <-p.codes:
			default:
			}
			p.codes <- code
			continue
		}
		p.mu.Lock()
		if p.tail = append(p.tail, line); len(p.tail) > kept {
			p.tail = p.tail[1:]
		}
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, from) // after a line that was too long
}

// printed returns the last lines that the process printed.
func (p *process) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// codeIn finds the code in a line that the console sender prints of a message's
// text.
func codeIn(line string) (string, bool) {
	text, ok := strings.CutPrefix(line, "│ ")
	if !ok {
		return "", false
	}
	code := sixDigits.FindString(text)
	return code, code != ""
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
