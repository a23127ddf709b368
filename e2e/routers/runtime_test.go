package routers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// startTime is how long the runtimes may take to listen, all at once on a busy
// machine.
const startTime = 2 * time.Minute

// tomcatJar is where Debian keeps the embedded Tomcat, unless the environment
// says otherwise.
const tomcatJar = "/usr/share/java/tomcat10-embed-core.jar"

// platform is what runs one or more of the apps: a process that prints
// "listening <router> <address>" for each.
type platform struct {
	routers []string
	// missing says what is not installed, "" if nothing.
	missing func() string
	// command is run in the folder apps. scratch is a folder of its own.
	command func(scratch string) *exec.Cmd
}

var platforms = []platform{
	node("node", "node-url", "node-url-parse"),
	node("express", "express4", "express4-override", "express5", "express5-override"),
	node("koa", "koa", "koa-override"),
	node("fastify", "fastify", "fastify-lenient"),
	python("flask", "flask", "flask-lenient"),
	python("django", "django"),
	python("django", "django-lenient"),
	gunicorn("flask"),
	gunicorn("django"),
	{[]string{"tomcat", "tomcat-lenient", "tomcat-method-filter", "tomcat-request-uri"}, missingTomcat, func(scratch string) *exec.Cmd {
		return exec.Command("java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", jar(), "tomcat/Site.java", scratch)
	}},
	php("php-front"), php("php-query"), php("php-request"), php("php-iis"), php("php-scripts"),
}

func node(app string, routers ...string) platform {
	return platform{routers, func() string {
		if _, err := exec.LookPath("node"); err != nil {
			return "Node.js"
		}
		if _, err := os.Stat("apps/node_modules"); err != nil {
			return "the npm packages: run 'npm ci --prefix e2e/routers/apps'"
		}
		return ""
	}, func(string) *exec.Cmd { return exec.Command("node", app+"/app.js") }}
}

// systemPython is the one that Debian's packages are for, whatever else comes
// first in PATH.
const systemPython = "/usr/bin/python3"

func python(module string, routers ...string) platform {
	return platform{routers, func() string {
		if err := exec.Command(systemPython, "-c", "import "+module).Run(); err != nil {
			return module + " for " + systemPython
		}
		return ""
	}, func(string) *exec.Cmd { return exec.Command(systemPython, module+"/app.py", routers[0]) }}
}

// gunicorn runs an app's lenient site under the server that such sites are often
// deployed with.
func gunicorn(module string) platform {
	router := module + "-gunicorn"
	p := python(module, router)
	p.missing = func() string {
		if err := exec.Command(systemPython, "-c", "import gunicorn, "+module).Run(); err != nil {
			return module + " and gunicorn for " + systemPython
		}
		return ""
	}
	return p
}

func missingTomcat() string {
	if _, err := exec.LookPath("javac"); err != nil {
		return "a JDK"
	}
	if _, err := os.Stat(jar()); err != nil {
		return "Tomcat: " + jar()
	}
	return ""
}

func jar() string {
	if path := os.Getenv("STEPGATE_TEST_TOMCAT"); path != "" {
		return path
	}
	return tomcatJar
}

// php runs a folder of scripts under PHP's own server, which says only that it
// has started.
func php(router string) platform {
	return platform{[]string{router}, func() string {
		if _, err := exec.LookPath("php"); err != nil {
			return "PHP"
		}
		return ""
	}, func(string) *exec.Cmd {
		// The shell speaks for the server, which gets the port that was free just now.
		address := freeAddresses(1)[0]
		return exec.Command("sh", "-c", `echo "listening $1 $2"; exec php -q -S "$2" -t "php/${1#php-}"`, "sh", router, address)
	}}
}

// freeAddresses returns addresses of loopback where nobody listens now.
func freeAddresses(n int) []string {
	var addresses []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err) // loopback has free ports
		}
		defer listener.Close() // all at the end, so that none is given twice
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses
}

// errMissing says that a platform is not installed.
var errMissing = errors.New("not installed")

// start runs the platform and returns the addresses of its routers.
func (p *platform) start(t *testing.T, runs *runs, scratch string) (map[string]string, error) {
	if what := p.missing(); what != "" {
		return nil, fmt.Errorf("%w: %s", errMissing, what)
	}
	cmd := p.command(scratch)
	cmd.Dir = "apps"
	cmd.Env = append(os.Environ(), "RUNS="+runs.file)
	var printed bytes.Buffer
	cmd.Stderr = &printed
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	found := make(chan [2]string, len(p.routers))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if words := strings.Fields(lines.Text()); len(words) == 3 && words[0] == "listening" {
				found <- [2]string{words[1], words[2]}
			}
		}
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	addresses := map[string]string{}
	deadline := time.After(startTime)
	for len(addresses) < len(p.routers) {
		select {
		case line := <-found:
			addresses[line[0]] = line[1]
		case <-ended:
			return nil, fmt.Errorf("%s ended: %s", p.routers[0], printed.String())
		case <-deadline:
			return nil, fmt.Errorf("%s does not start", p.routers[0])
		}
	}
	for _, address := range addresses {
		if err := listens(address); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}

// listens waits until somebody listens there.
func listens(address string) error {
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		if time.Since(began) > startTime {
			return err
		}
	}
}

// startAll runs all platforms at once. It returns the addresses of the routers,
// and for those that do not run the reason.
func startAll(t *testing.T, runs *runs) (addresses map[string]string, absent map[string]error) {
	t.Helper()
	addresses, absent = startGo(t, runs), map[string]error{}
	var mu sync.Mutex // guards addresses and absent
	var all sync.WaitGroup
	scratch := t.TempDir()
	for i := range platforms {
		all.Go(func() {
			p := &platforms[i]
			found, err := p.start(t, runs, scratch)
			mu.Lock()
			defer mu.Unlock()
			for _, name := range p.routers {
				if err != nil {
					absent[name] = err
				} else {
					addresses[name] = found[name]
				}
			}
		})
	}
	all.Wait()
	return addresses, absent
}

// runs is the file in which sensitive handlers note that they ran: a line with
// the handler's name and the number of the request.
type runs struct{ file string }

func newRuns(t *testing.T) *runs {
	t.Helper()
	return &runs{filepath.Join(t.TempDir(), "runs")}
}

// of returns the handlers that ran, by the numbers of the requests that begin so.
func (r *runs) of(t *testing.T, prefix string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]string{}
	for line := range strings.Lines(string(text)) {
		handler, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(id, prefix) {
			ran[id] = handler
		}
	}
	return ran
}
