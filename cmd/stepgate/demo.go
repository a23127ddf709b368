package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/stepgate/stepgate/internal/factor"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "demo",
		Usage: "[--listen <host:port>] [--state-dir <folder>] [--site <url>]",
		Short: "Starts a casino site with Stepgate in front of it, to try it out",
		Long: `Starts a small casino site on this machine with Stepgate in front of it, and
prints what to try. Codes that would go to a phone are printed, and stand at
/.demo/phone (JSON, or a page for a browser). It needs nothing else, sends
nothing anywhere, and leaves nothing behind when it is stopped.

With --state-dir, what players have set up is kept in a folder, and is there again
when the demo is started with the same one. With --site, the demo stands in front
of an examples/casino that runs already; the demo's own keeps everything in memory.`,
		CobraFunc: demoCommand,
	})
}

func demoCommand(cmd *cobra.Command) {
	var o demoOptions
	cmd.Args = cobra.NoArgs
	cmd.Flags().StringVar(&o.listen, "listen", "localhost:9080", "where to listen, on loopback; port 0 takes a free port")
	cmd.Flags().StringVar(&o.stateDir, "state-dir", "", "folder to keep the gateway's state in (default: a temporary one)")
	cmd.Flags().StringVar(&o.site, "site", "", "URL of a running examples/casino to stand in front of (default: one of its own)")
	cmd.RunE = func(*cobra.Command, []string) error {
		// SIGHUP: the terminal was closed.
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		// Whatever the output is piped into may end first, on the same Ctrl-C.
		signal.Ignore(syscall.SIGPIPE)
		return o.run(ctx, os.Stdout)
	}
}

// demoOptions are the command line of the demo.
type demoOptions struct {
	listen, stateDir, site string
}

// brand is the site's name on pages, in messages and in authenticators.
const brand = "Kasino Melati"

// run runs the demo until ctx is done.
func (o demoOptions) run(ctx context.Context, out io.Writer) (err error) {
	host, port, err := parseListen(o.listen)
	if err != nil {
		return err
	}
	if err := checkSite(o.site); err != nil {
		return err
	}
	if err := checkFree(host, port); err != nil {
		return err
	}
	folder, remove, err := o.openFolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()

	site, err := o.openSite(out)
	if err != nil {
		return err
	}
	defer site.close()
	key, err := enrolPlayers(ctx, folder, time.Now)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	port, err = startGateway(gateway{
		Host: host, Port: port, Site: site.url, Folder: folder, Phones: newPhones(out, time.Now),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopGateway()) }()
	if err := o.welcome(out, "http://"+net.JoinHostPort(host, port), key); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-site.failed:
		return err
	}
}

// openFolder returns the folder for the gateway's state, and what to do with it in
// the end.
func (o demoOptions) openFolder() (folder string, remove func() error, err error) {
	if o.stateDir != "" {
		folder, err = filepath.Abs(o.stateDir)
		if err == nil {
			err = os.MkdirAll(folder, 0o700)
		}
		if err != nil {
			return "", nil, fmt.Errorf("opening state folder: %w", err)
		}
		return folder, func() error { return nil }, nil
	}
	if folder, err = os.MkdirTemp("", "stepgate-demo-"); err != nil {
		return "", nil, fmt.Errorf("making a temporary folder: %w", err)
	}
	return folder, func() error {
		if err := os.RemoveAll(folder); err != nil {
			return fmt.Errorf("removing the temporary folder: %w", err)
		}
		return nil
	}, nil
}

// parseListen reads where to listen. Whoever reaches the demo can read every code
// and knows every password, so nobody may but this machine.
func parseListen(listen string) (host, port string, err error) {
	const example = "such as --listen localhost:9081"
	host, port, err = net.SplitHostPort(listen)
	if err != nil {
		return "", "", fmt.Errorf("--listen %q: write host and port, %s", listen, example)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("--listen %q: the port is a number from 0 to 65535, %s", listen, example)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", "", fmt.Errorf("--listen %q: the demo shows every code to whoever asks, so it listens on this machine only, %s", listen, example)
	}
	return host, port, nil
}

// checkFree reports that somebody listens there already. Caddy would not: its
// sockets share a port with those of another Caddy.
func checkFree(host, port string) error {
	if port == "0" {
		return nil
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if errors.Is(err, syscall.EADDRINUSE) {
		next, _ := strconv.Atoi(port) // parseListen has seen that it is a number
		return fmt.Errorf("port %s is in use; try --listen %s", port, net.JoinHostPort(host, strconv.Itoa(next%65535+1)))
	}
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	return ln.Close()
}

func checkSite(site string) error {
	if site == "" {
		return nil
	}
	u, err := url.Parse(site)
	if err != nil || u.Scheme != "http" || u.Host == "" || site != "http://"+u.Host {
		return fmt.Errorf("--site %q: write scheme and host and nothing else, such as --site http://127.0.0.1:8080", site)
	}
	return nil
}

//go:embed demo/welcome.txt
var welcomeText string

var welcome = template.Must(template.New("welcome").Funcs(template.FuncMap{"grouped": grouped}).Parse(welcomeText))

// welcome prints what to try, and last that the demo is ready.
func (o demoOptions) welcome(out io.Writer, at string, key []byte) error {
	values := struct{ Brand, URL, Kept, Key, KeyURI string }{Brand: brand, URL: at, Kept: o.stateDir}
	if key != nil {
		values.Key, values.KeyURI = factor.TOTPSecretText(key), factor.TOTPURI(brand, sari.login, key)
	}
	var text strings.Builder
	if err := welcome.Execute(&text, values); err != nil {
		return fmt.Errorf("writing what to try: %w", err)
	}
	// One write: what is found ready can be read in full. If nobody reads it, the
	// demo runs all the same.
	_, _ = io.WriteString(out, text.String())
	return nil
}

// grouped sets a key in groups of four, as people type it.
func grouped(key string) string {
	var b strings.Builder
	for i, r := range key {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
