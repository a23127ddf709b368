//go:build unix

// Package pgserver runs a private PostgreSQL server from the binaries that are
// installed: for tests, benchmarks and the cluster example, never for a gateway.
// The server listens on a loopback port, trusts whoever connects, and ends with its
// folder.
package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ErrNotInstalled says that no PostgreSQL server is installed here.
var ErrNotInstalled = errors.New("no PostgreSQL server is installed (Debian: apt-get install postgresql)")

// User owns the server and is its superuser. Database is the one to connect to.
const (
	User     = "stepgate"
	Database = "postgres"
)

// Options are the settings of a Server. The zero value is what tests want.
type Options struct {
	// Settings are server parameters, such as "max_connections=20".
	Settings []string
	// Durable makes the server sync what it commits. Without it a crash of the
	// machine, though not of the server, may lose what was acknowledged.
	Durable bool
}

// Server is a PostgreSQL server that was started here.
type Server struct {
	bin, dir, port string
	options        Options

	process *exec.Cmd
	ended   chan struct{} // closed when process has ended
	log     *os.File
}

// Start makes a database cluster in a folder of its own and starts a server on it.
// The caller must Close it. It returns ErrNotInstalled if there is nothing to start.
func Start(ctx context.Context, o Options) (*Server, error) {
	return start(ctx, o, func(s *Server) *exec.Cmd {
		return s.command(ctx, "initdb", "-D", s.data(), "-U", User, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	})
}

// Standby starts a server that follows s by streaming replication, until Promote.
// The caller must Close it.
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	return start(ctx, s.options, func(standby *Server) *exec.Cmd {
		return standby.command(ctx, "pg_basebackup", "-D", standby.data(), "-h", "127.0.0.1", "-p", s.port, "-U", User,
			"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
	})
}

// Promote makes a standby a server that takes writes.
func (s *Server) Promote(ctx context.Context) error {
	if out, err := s.command(ctx, "pg_ctl", "promote", "-w", "-D", s.data()).CombinedOutput(); err != nil {
		return fmt.Errorf("promoting a standby: %w\n%s", err, out)
	}
	return nil
}

// start makes a folder, has it filled with a database cluster, and starts a server
// on it.
func start(ctx context.Context, o Options, fill func(*Server) *exec.Cmd) (_ *Server, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "stepgate-postgres-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for PostgreSQL: %w", err)
	}
	s := &Server{bin: bin, dir: dir, options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := own(dir); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	if out, err := fill(s).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making a database cluster: %w\n%s", err, out)
	}
	if s.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, fmt.Errorf("making a log for PostgreSQL: %w", err)
	}
	if err := s.Restart(ctx); err != nil {
		return nil, errors.Join(err, s.log.Close())
	}
	return s, nil
}

// DSN is the address of the server's database.
func (s *Server) DSN() string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", User, s.Address(), Database)
}

// Address is the host and port that the server listens on.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", s.port) }

// Restart starts the server if it does not run, and waits until it takes
// connections.
func (s *Server) Restart(ctx context.Context) error {
	args := []string{"-D", s.data(), "-k", s.dir, "-h", "127.0.0.1", "-p", s.port}
	if !s.options.Durable {
		// Not synchronous_commit=off: what is committed has then not even left the
		// server's own memory, and Kill loses it.
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	for _, setting := range s.options.Settings {
		args = append(args, "-c", setting)
	}
	cmd := s.command(context.WithoutCancel(ctx), "postgres", args...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended stands in its log
	}()
	s.process, s.ended = cmd, ended
	return s.ready(ctx)
}

// ready waits until the server takes connections.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if s.command(ctx, "pg_isready", "-q", "-h", "127.0.0.1", "-p", s.port, "-U", User).Run() == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-s.ended:
			return fmt.Errorf("starting PostgreSQL: it ended:\n%s", s.Log())
		case <-ctx.Done():
			return fmt.Errorf("waiting for PostgreSQL: %w\n%s", ctx.Err(), s.Log())
		}
	}
}

// Stop ends the server in order, and every connection with it.
func (s *Server) Stop() { s.signal(syscall.SIGINT) }

// Kill ends the server at once, in the middle of whatever it does.
func (s *Server) Kill() { s.signal(syscall.SIGQUIT) }

// Pause stops the main process of the server, which then takes no new connections,
// until Resume. Connections that are open go on.
func (s *Server) Pause() { _ = s.process.Process.Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { _ = s.process.Process.Signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(sig)
	<-s.ended
	s.process = nil
}

// Close ends the server and removes its folder.
func (s *Server) Close() error {
	s.signal(syscall.SIGQUIT)
	return errors.Join(s.log.Close(), os.RemoveAll(s.dir))
}

// Log returns the end of what the server has logged.
func (s *Server) Log() []byte {
	const most = 4 << 10
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return bytes.TrimSpace(b)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command runs one of the server's programs as a user whom it accepts: it refuses
// root.
func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+s.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if uid, gid, ok := unprivileged(); ok {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return cmd
}

// binaries returns the folder of the newest server that is installed.
func binaries() (string, error) {
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	newest, best := "", 0
	for _, folder := range folders {
		version, err := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		if _, missing := os.Stat(filepath.Join(folder, "initdb")); err == nil && missing == nil && version > best {
			newest, best = folder, version
		}
	}
	if newest != "" {
		return newest, nil
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return "", ErrNotInstalled
	}
	if initdb, err = filepath.EvalSymlinks(initdb); err != nil {
		return "", ErrNotInstalled
	}
	return filepath.Dir(initdb), nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
