//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a process may take to start, and to end.
const patience = 20 * time.Second

// process is a Caddy that runs, or ran: a gateway or the balancer.
type process struct {
	c                  *cluster
	name, port, config string
	environment        []string
	cmd                *exec.Cmd
	ended              chan struct{} // closed when it has ended
}

// newProcess prepares a Caddy with a Caddyfile, on a port of its own if none is named.
func (c *cluster) newProcess(name, port, caddyfile string, environment ...string) (*process, error) {
	if port == "" {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		if _, port, err = net.SplitHostPort(ln.Addr().String()); err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		if err := ln.Close(); err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
	}
	config := filepath.Join(c.folder, strings.ReplaceAll(name, " ", "-")+".Caddyfile")
	if err := os.WriteFile(config, []byte(caddyfile), 0o600); err != nil {
		return nil, fmt.Errorf("writing a Caddyfile: %w", err)
	}
	environment = append(os.Environ(), append(environment, "CLUSTER_PORT="+port, "HOME="+c.folder)...)
	return &process{c: c, name: name, port: port, config: config, environment: environment}, nil
}

// start starts the process, unless it runs, and waits until it serves.
func (p *process) start(ctx context.Context) error {
	if p.runs() {
		return fmt.Errorf("%s runs already", p.name)
	}
	cmd := exec.Command(p.c.binary, "run", "--config", p.config, "--adapter", "caddyfile")
	cmd.Env = p.environment
	// A group of its own: Ctrl-C reaches this command, which then ends the processes in
	// the right order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	printed, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		defer close(ended)
		for scanner := bufio.NewScanner(printed); scanner.Scan(); {
			if scanner.Text() != "" {
				fmt.Fprintf(p.c.out, "[%s] %s\n", p.name, scanner.Text())
			}
		}
		_ = cmd.Wait() // how it ended shows in what it printed
	}()
	return p.ready(ctx)
}

// ready waits until the process passes requests on to the site.
func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if p.serves(ctx) {
			return nil
		}
		select {
		case <-again.C:
		case <-p.ended:
			return fmt.Errorf("starting %s: it ended", p.name)
		case <-ctx.Done():
			return fmt.Errorf("starting %s: %w", p.name, ctx.Err())
		}
	}
}

func (p *process) serves(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+p.port+"/login", nil)
	if err != nil {
		return false
	}
	req.Host = "localhost"
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// runs reports whether the process was started and has not ended.
func (p *process) runs() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill ends the process at once.
func (p *process) kill() {
	if p.runs() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// stop ends the process in order.
func (p *process) stop() {
	if !p.runs() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.kill()
	}
}

// lines keeps what several processes print apart.
type lines struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
