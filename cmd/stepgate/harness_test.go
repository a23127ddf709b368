package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/examples/casino"
)

// asStepgate makes the test binary be the stepgate command.
const asStepgate = "STEPGATE_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asStepgate) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// command is a run of the stepgate command. It is kept to two folders of its own:
// tmp is for temporary files; home is home, working directory and where Caddy
// keeps things by default.
type command struct {
	*exec.Cmd
	tmp, home string
}

func stepgate(t *testing.T, args ...string) *command {
	t.Helper()
	c := &command{Cmd: exec.Command(os.Args[0], args...), tmp: t.TempDir(), home: t.TempDir()}
	c.Dir = c.home
	c.Env = append(os.Environ(), asStepgate+"=1", "TMPDIR="+c.tmp, "HOME="+c.home,
		"XDG_DATA_HOME="+filepath.Join(c.home, "data"), "XDG_CONFIG_HOME="+filepath.Join(c.home, "config"))
	return c
}

// wantNothingLeft fails if the command has left a file or folder in its folders.
func (c *command) wantNothingLeft(t *testing.T) {
	t.Helper()
	for _, folder := range []string{c.tmp, c.home} {
		if left := inside(t, folder); len(left) > 0 {
			t.Errorf("it left %q", left)
		}
	}
}

// inside returns everything in a folder.
func inside(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if path != folder {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wantExit fails unless the run ended with an exit code of its own choice.
func wantExit(t *testing.T, err error, code int) {
	t.Helper()
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode() // -1 if a signal ended it
	} else if err != nil {
		t.Fatal(err)
	}
	if got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
}

// running is a demo that runs.
type running struct {
	*command
	t   *testing.T
	url string

	ready chan struct{} // closed when it says that it is
	ended chan struct{} // closed when it has ended; then err says how
	err   error

	mu      sync.Mutex // guards printed
	printed bytes.Buffer
}

var readyLine = regexp.MustCompile(`(?m)^Demo ready at (http://localhost:[0-9]+)$`)

// Write keeps what the demo prints.
func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := readyLine.Match(r.printed.Bytes())
	r.printed.Write(p)
	if !before && readyLine.Match(r.printed.Bytes()) {
		close(r.ready)
	}
	return len(p), nil
}

func (r *running) output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.printed.String()
}

// launch starts a demo and does not wait for it.
func launch(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{
		command: stepgate(t, append([]string{"demo"}, args...)...), t: t,
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
	r.Stdout, r.Stderr = r, r
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		r.err = r.Wait()
	}()
	t.Cleanup(r.kill)
	return r
}

// startDemo starts a demo, on a free port unless args say otherwise, and waits
// until it is ready.
func startDemo(t *testing.T, args ...string) *running {
	t.Helper()
	r := launch(t, append([]string{"--listen", "localhost:0"}, args...)...)
	r.await(r.ready, "the demo to be ready")
	r.url = readyLine.FindStringSubmatch(r.output())[1]
	return r
}

// await waits until c is closed, unless the demo ends before.
func (r *running) await(c <-chan struct{}, what string) {
	r.t.Helper()
	select {
	case <-c:
		return
	case <-r.ended:
	case <-time.After(time.Minute):
		r.t.Fatalf("waited in vain for %s:\n%s", what, r.output())
	}
	select {
	case <-c: // at the same time
	default:
		r.t.Fatalf("waiting for %s: the demo ended: %v\n%s", what, r.err, r.output())
	}
}

// kill ends the demo as a power cut does.
func (r *running) kill() {
	_ = r.Process.Kill() // it may have ended
	<-r.ended
}

// stop ends the demo with a signal and waits until it has ended.
func (r *running) stop(with os.Signal) {
	r.t.Helper()
	if err := r.Process.Signal(with); err != nil {
		r.t.Fatal(err)
	}
	r.await(r.ended, "the demo to end")
}

// newSite starts a casino that outlives the demo, for --site.
func newSite(t *testing.T) (*casino.Site, string) {
	t.Helper()
	site := casino.New(casino.Options{})
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	return site, server.URL
}

// client is a browser as far as the demo can tell: it keeps cookies.
type client struct {
	*http.Client
	t    *testing.T
	base string
}

// login returns the client of a player who has logged in at the site.
func (r *running) login(player string) *client {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	c := &client{&http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, r.t, r.url}
	c.form("/login", "username", player, "password", "rahasia").want(r.t, http.StatusSeeOther)
	return c
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d:\n%s", a.status, status, a.body)
	}
	return a
}

// form posts a form as a browser does: its fields stay in order.
func (c *client) form(path string, pairs ...string) answer {
	c.t.Helper()
	var fields []string
	for i := 0; i+1 < len(pairs); i += 2 {
		fields = append(fields, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return send(c.t, c.Client, "POST", c.base+path, strings.Join(fields, "&"),
		http.Header{"Accept": {"text/html"}, "Content-Type": {"application/x-www-form-urlencoded"}})
}

func (c *client) json(path, body string, more ...string) answer {
	c.t.Helper()
	header := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}}
	for i := 0; i+1 < len(more); i += 2 {
		header.Set(more[i], more[i+1])
	}
	return send(c.t, c.Client, "POST", c.base+path, body, header)
}

func send(t *testing.T, c *http.Client, method, url, body string, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}
