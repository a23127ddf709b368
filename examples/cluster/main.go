//go:build unix

// Command cluster shows Stepgate on several machines, on one: a PostgreSQL server,
// three gateways, a balancer in front of them and the casino site behind them. It is
// for trying out what happens when a gateway dies or the database is gone. Everything
// listens on loopback and ends with the command.
package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stepgate/stepgate/examples/casino"
	"github.com/stepgate/stepgate/internal/pgserver"
)

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "localhost:9090", "where the balancer listens, as localhost:`port`")
	flag.StringVar(&o.binary, "stepgate", "", "the stepgate `command` to run (default: it is built first)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := o.run(ctx, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct{ listen, binary string }

// gateways is how many there are.
const gateways = 3

// cluster is everything that runs.
type cluster struct {
	folder   string
	binary   string
	out      io.Writer
	database *pgserver.Server
	stopped  bool // the database
	site     net.Listener
	gateways []*process
	balancer *process
}

// run starts everything, obeys the commands that come in, and ends everything when ctx
// is done.
func (o options) run(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	host, port, err := net.SplitHostPort(o.listen)
	if err != nil || host != "localhost" {
		return fmt.Errorf("-listen %q: write localhost and a port, such as localhost:9091", o.listen)
	}
	if err := checkFree(port); err != nil {
		return err
	}
	c := &cluster{out: &lines{w: out}, binary: o.binary}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.start(ctx, port); err != nil {
		if ctx.Err() != nil {
			return nil // ended while it started
		}
		return err
	}
	c.welcome(port)
	c.obey(ctx, in)
	return nil
}

// checkFree reports that somebody listens there already. Caddy would not: its sockets
// share a port with those of another Caddy.
func checkFree(port string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return fmt.Errorf("port %s cannot be had; try another with -listen: %w", port, err)
	}
	return ln.Close()
}

// start starts the database, the site, the gateways and the balancer.
func (c *cluster) start(ctx context.Context, port string) (err error) {
	if c.folder, err = os.MkdirTemp("", "stepgate-cluster-"); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	if err := c.build(ctx); err != nil {
		return err
	}
	if c.database, err = pgserver.Start(ctx, pgserver.Options{Durable: true}); err != nil {
		return err
	}
	if c.site, err = serveSite(); err != nil {
		return err
	}
	var addresses []string
	for i := range gateways {
		g, err := c.newProcess(fmt.Sprint("gateway ", i+1), "", gatewayCaddyfile,
			"CLUSTER_STORAGE="+filepath.Join(c.folder, "storage"),
			"CLUSTER_SITE=http://"+c.site.Addr().String(), "STEPGATE_DSN="+c.database.DSN())
		if err != nil {
			return err
		}
		c.gateways = append(c.gateways, g)
		addresses = append(addresses, "127.0.0.1:"+g.port)
		// The first one makes the key ring and the schema; the others find them.
		if err := g.start(ctx); err != nil {
			return err
		}
	}
	c.balancer, err = c.newProcess("balancer", port, balancerCaddyfile,
		"CLUSTER_STORAGE="+filepath.Join(c.folder, "balancer"), "CLUSTER_GATEWAYS="+strings.Join(addresses, " "))
	if err != nil {
		return err
	}
	return c.balancer.start(ctx)
}

var (
	//go:embed gateway.Caddyfile
	gatewayCaddyfile string
	//go:embed balancer.Caddyfile
	balancerCaddyfile string
)

// build builds the stepgate command, unless one was named.
func (c *cluster) build(ctx context.Context) error {
	if c.binary != "" {
		return nil
	}
	fmt.Fprintln(c.out, "Building stepgate …")
	c.binary = filepath.Join(c.folder, "stepgate")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", c.binary, "github.com/stepgate/stepgate/cmd/stepgate")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building stepgate (or name one that is built with -stepgate): %w\n%s", err, out)
	}
	return nil
}

// serveSite starts the casino, which ends with this command.
func serveSite() (net.Listener, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the site: %w", err)
	}
	server := &http.Server{Handler: casino.New(casino.Options{}), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(ln) }() // until ln is closed
	return ln, nil
}

// close ends what was started, which may be a part of it, from the front to the back.
func (c *cluster) close() error {
	var errs []error
	if c.balancer != nil {
		c.balancer.stop()
	}
	for _, g := range c.gateways {
		g.stop()
	}
	if c.site != nil {
		errs = append(errs, c.site.Close())
	}
	if c.database != nil {
		errs = append(errs, c.database.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(c.folder))...)
}

func (c *cluster) welcome(port string) {
	fmt.Fprintf(c.out, `
Three gateways on one database stand in front of Kasino Melati, behind a balancer.
The players and the money are made up, and nothing is sent to any phone.

  1. Log in as budi (password: rahasia) at http://localhost:%[1]s/login
  2. In the wallet, withdraw 2.500.000. One gateway holds it and asks for a code.
  3. The code is printed here. Whichever gateway gets it sends the withdrawal on.

As an app does it
  curl -c jar -d 'username=budi&password=rahasia' http://localhost:%[1]s/login
  curl -b jar -c jar --json '{"amount":2500000,"account":"BCA 1234567890"}' http://localhost:%[1]s/api/v1/withdrawals
  Send {"factor":"sms","code":"..."} to the url in the answer, in the same way, and then
  the second line again with -H 'Step-Up-Challenge: <the id>'.

Break it, between any two of these steps. Type here, and Enter:
  kill 1           as a power cut does (or 2, or 3); start 1 brings it back
  stop database    withdrawals are closed, and the rest goes on; start database

Ctrl-C ends everything and leaves nothing behind.
Cluster ready at http://localhost:%[1]s
`, port)
}

// obey does what is typed, until ctx is done.
func (c *cluster) obey(ctx context.Context, in io.Reader) {
	typed := make(chan string)
	go func() {
		for lines := bufio.NewScanner(in); lines.Scan(); {
			select {
			case typed <- lines.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-typed:
			if err := c.command(ctx, strings.Fields(line)); err != nil {
				fmt.Fprintln(c.out, err)
			}
		}
	}
}

// errCommand says what can be typed.
var errCommand = errors.New("type kill 1, start 1, stop database or start database")

// command does one thing that was typed, and says that it is done.
func (c *cluster) command(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return nil
	}
	if len(words) != 2 {
		return errCommand
	}
	verb, object := words[0], words[1]
	switch {
	case verb == "stop" && object == "database" && !c.stopped:
		c.database.Stop()
		c.stopped = true
	case verb == "start" && object == "database" && c.stopped:
		if err := c.database.Restart(ctx); err != nil {
			return err
		}
		c.stopped = false
	case len(object) == 1 && object >= "1" && object[0] < '1'+gateways && verb == "kill":
		c.gateways[object[0]-'1'].kill()
	case len(object) == 1 && object >= "1" && object[0] < '1'+gateways && verb == "start":
		if err := c.gateways[object[0]-'1'].start(ctx); err != nil {
			return err
		}
	default:
		return errCommand
	}
	fmt.Fprintf(c.out, "Done: %s %s\n", verb, object)
	return nil
}
