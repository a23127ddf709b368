package caddymodule_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/examples/casino"
)

// The live tests run a real Caddy in this process, one after another: a process
// has one configuration. They use a casino as the site, and let nothing of theirs
// outside of a temporary folder.

// gateway is a running Caddy with the gate in front of a casino.
type gateway struct {
	t    *testing.T
	dir  string
	site *site
	// address is where the gateway listens, descriptor the number under which Caddy
	// gets the listening socket.
	address    string
	descriptor string
}

// start runs a gateway with a configuration made of the parts that differ between
// tests.
func start(t *testing.T, c config) *gateway {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a server")
	}
	dir, err := os.MkdirTemp("", "sg") // short: the path of a socket has 108 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	g := &gateway{t: t, dir: dir, site: newSite(t)}
	g.listen()
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("Stop = %v", err)
		}
		storeDown.Store(false)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := g.load(c); err != nil {
		t.Fatalf("Load = %v", err)
	}
	return g
}

// config is what differs between the configurations of tests.
type config struct {
	// log turns the access log on. With it Caddy counts the bytes of a body without
	// a lock, and the race detector may say so of a body that goes on to the site.
	log bool
	// store is the name of the store, "bolt" if empty.
	store string
	// stepUp replaces the step_up block, site what follows it.
	stepUp, site string
	// brand is the site's name.
	brand string
	// fault makes the configuration fail when it is "provision" or "start".
	fault string
}

const ordinaryStepUp = `
	step_up {
		identity upstream {SITE}/api/me {
			cookie  casino_session
			bearer
			subject json:id
			login   json:username
			phone   json:phone
		}
		settings   /account/security
		login_page /login
		protect withdrawal {
			path /wallet/withdraw* /api/v1/withdrawals
			method POST
			single_use
			show amount {form.amount} {json.amount}
			show to {form.account} {json.account}
			unenrolled registered_phone
		}
		protect contact {
			path /account/email /account/phone /ws/private /live/private
			unenrolled registered_phone
		}
	}`

const ordinarySite = `
	reverse_proxy {SITE}`

// json returns the configuration for Caddy.
func (g *gateway) json(c config) []byte {
	g.t.Helper()
	if c.store == "" {
		c.store = "bolt"
	}
	if c.stepUp == "" {
		c.stepUp = ordinaryStepUp
	}
	if c.site == "" {
		c.site = ordinarySite
	}
	if c.brand == "" {
		c.brand = "Example Casino"
	}
	log := ""
	if c.log {
		log = "\tlog\n"
	}
	text := strings.NewReplacer("{SITE}", g.site.server.URL, "{DIR}", g.dir, "{BIND}", "fd/"+g.descriptor).Replace(`{
	admin unix/{DIR}/admin.sock
	persist_config off
	auto_https off
	storage file_system {DIR}/caddy
	metrics
	log {
		output file {DIR}/log.json
		format json
		level DEBUG
	}
	log audit {
		output file {DIR}/audit.json
		format json
		include stepgate.audit
	}
	stepgate {
		store ` + c.store + ` {DIR}/stepgate.db
		brand "` + c.brand + `" {
			languages en
		}
		sms {
			inbox
			limit number 10000 per 1h
			limit account 10000 per 1h
			limit address 10000 per 1h
			limit block 10000 per 1h
		}
	}
}

http://localhost {
	bind {BIND}
` + log + c.stepUp + c.site + `
}
`)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		g.t.Fatalf("Adapt = %v in\n%s", err, text)
	}
	if c.fault == "" {
		return adapted
	}
	var tree map[string]any
	if err := json.Unmarshal(adapted, &tree); err != nil {
		g.t.Fatal(err)
	}
	tree["apps"].(map[string]any)["fault"] = map[string]string{"at": c.fault}
	adapted, err = json.Marshal(tree)
	if err != nil {
		g.t.Fatal(err)
	}
	return adapted
}

// load loads a configuration, as a reload does.
func (g *gateway) load(c config) error { return caddy.Load(g.json(c), true) }

// log returns the entries of a log file as they are now.
func (g *gateway) log(name string) []map[string]any {
	g.t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		g.t.Fatal(err)
	}
	var entries []map[string]any
	for line := range strings.Lines(string(text)) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			g.t.Fatalf("log line %q: %v", line, err)
		}
		entries = append(entries, entry)
	}
	return entries
}

// admin gets something from Caddy's admin endpoint.
func (g *gateway) admin(path string) string {
	g.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(g.dir, "admin.sock"))
	}}}
	res, err := client.Get("http://localhost" + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		g.t.Fatalf("GET %s = %d, %v", path, res.StatusCode, err)
	}
	return string(body)
}

// listen opens the socket that Caddy gets. With one of its own Caddy would open
// another for each configuration, and lose what waits to be accepted when it
// closes the old one. The descriptor stays open to the end of the process, because
// Caddy keeps it in mind.
func (g *gateway) listen() {
	g.t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		g.t.Fatal(err)
	}
	g.address = ln.Addr().String()
	file, err := ln.File()
	if err != nil {
		g.t.Fatal(err)
	}
	descriptors = append(descriptors, file)
	g.descriptor = strconv.Itoa(int(file.Fd()))
	if err := ln.Close(); err != nil {
		g.t.Fatal(err)
	}
}

// descriptors keeps the sockets from being closed.
var descriptors []*os.File

// site is the casino, which records what reaches it.
type site struct {
	server *httptest.Server
	casino *casino.Site
	// asked counts the questions of who is logged in.
	asked atomic.Int64

	mu   sync.Mutex // guards the rest
	hits []hit
	// pause, if set, is closed by the test to let requests to /slow and questions
	// of who is logged in go on; paused tells that one waits.
	pause  chan struct{}
	paused chan struct{}
}

type hit struct {
	method, uri, body string
	header            http.Header
}

func newSite(t *testing.T) *site {
	s := &site{casino: casino.New(casino.Options{}), paused: make(chan struct{}, 100)}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	// So that connections end with their requests, and can be counted.
	s.server.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(s.server.Close)
	return s
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	question := r.URL.Path == "/api/me" && r.UserAgent() == "Stepgate"
	s.mu.Lock()
	pause := s.pause
	if question {
		s.asked.Add(1)
	} else {
		s.hits = append(s.hits, hit{r.Method, r.RequestURI, string(body), r.Header.Clone()})
	}
	s.mu.Unlock()
	if pause != nil && (question || r.URL.Path == "/slow") {
		s.paused <- struct{}{}
		select {
		case <-pause:
		case <-r.Context().Done():
			return
		}
	}
	switch r.URL.Path {
	case "/slow":
		fmt.Fprint(w, "site: slow")
	case "/ws", "/ws/private":
		echo(w)
	case "/verify":
		s.verify(w, r)
	case "/live/private":
		r.URL.Path = "/live"
		s.casino.ServeHTTP(w, r)
	default:
		s.casino.ServeHTTP(w, r)
	}
}

// verify is what forward_auth asks: who is logged in, as headers.
func (s *site) verify(w http.ResponseWriter, r *http.Request) {
	question, err := http.NewRequest("GET", "/api/me", nil)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	question.Header = r.Header
	answer := httptest.NewRecorder()
	s.casino.ServeHTTP(answer, question)
	var me struct{ ID, Phone string }
	if answer.Code != http.StatusOK || json.Unmarshal(answer.Body.Bytes(), &me) != nil {
		return // a visitor, who may look around
	}
	w.Header().Set("Remote-User", me.ID)
	w.Header().Set("Remote-Phone", me.Phone)
}

// echo switches protocols and sends back each byte that comes.
func echo(w http.ResponseWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = io.Copy(conn, rw)
}

// reached returns the requests that the site got, without those for a path that
// anybody may ask for.
func (s *site) reached(uri string) []hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []hit
	for _, h := range s.hits {
		if h.uri == uri {
			found = append(found, h)
		}
	}
	return found
}

func (s *site) all() []hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]hit(nil), s.hits...)
}

// hold makes requests to /slow and identity questions wait until the returned
// function is called.
func (s *site) hold() (release func()) {
	ch := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pause = ch
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.pause = nil
		s.mu.Unlock()
		close(ch)
	})
}

// player is a browser, or a script in one.
type player struct {
	g    *gateway
	http *http.Client
	// header goes with every request.
	header http.Header
}

// visitor returns a browser without a session.
func (g *gateway) visitor() *player {
	g.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return &player{
		g: g,
		http: &http.Client{
			Jar:           jar,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", g.address)
			}},
		},
		header: http.Header{
			"Accept": {"text/html,application/xhtml+xml"}, "Accept-Language": {"en"},
			"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
		},
	}
}

// login returns a browser with a session of a player of the casino, which it got
// from the casino itself.
func (g *gateway) login(name string) *player {
	g.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.PostForm(g.site.server.URL+"/login", url.Values{"username": {name}, "password": {"rahasia"}})
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	p := g.visitor()
	p.http.Jar.SetCookies(p.url(), res.Cookies())
	if p.cookie(casino.SessionCookie) == "" {
		g.t.Fatalf("logging in as %s gave no session", name)
	}
	return p
}

// url returns where the player's browser thinks the site is.
func (p *player) url() *url.URL { return &url.URL{Scheme: "http", Host: "localhost"} }

// cookie returns the value of a cookie of the player.
func (p *player) cookie(name string) string {
	for _, c := range p.http.Jar.Cookies(p.url()) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

// want fails the test unless the answer has the status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status = %d, want %d; body:\n%s", a.status, status, a.body)
	}
	return a
}

var challengePattern = regexp.MustCompile(`name="?stepgate_challenge"? value="?([A-Za-z0-9_-]{22})`)

// challenge returns the id of the challenge that the page shows.
func (a answer) challenge() string {
	a.t.Helper()
	m := challengePattern.FindStringSubmatch(a.body)
	if m == nil {
		a.t.Fatalf("no challenge in the answer %d:\n%s", a.status, a.body)
	}
	return m[1]
}

// send sends one request. An error is one of the connection.
func (p *player) send(method, target, kind, body string, header ...string) (answer, error) {
	req, err := http.NewRequest(method, p.url().String()+target, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header = p.header.Clone()
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := p.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{p.g.t, res.StatusCode, res.Header, string(text)}, err
}

func (p *player) do(method, target, kind, body string, header ...string) answer {
	p.g.t.Helper()
	a, err := p.send(method, target, kind, body, header...)
	if err != nil {
		p.g.t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

func (p *player) get(target string, header ...string) answer {
	p.g.t.Helper()
	return p.do("GET", target, "", "", header...)
}

const formType = "application/x-www-form-urlencoded"

func (p *player) post(target string, pairs ...string) answer {
	p.g.t.Helper()
	return p.do("POST", target, formType, form(pairs...))
}

// form encodes pairs in their order: the marker of a page of ours comes first.
func form(pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		parts = append(parts, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return strings.Join(parts, "&")
}

// solution is the form of a challenge page with a code in it.
func solution(challenge, factor, code string) []string {
	return []string{
		challengepages.FieldChallenge, challenge, challengepages.FieldAction, challengepages.ActionAnswer,
		challengepages.FieldFactor, factor, challengepages.FieldCode, code,
	}
}

// withdraw asks for a withdrawal and returns the challenge that it meets.
func (p *player) withdraw(amount string) string {
	p.g.t.Helper()
	return p.post("/wallet/withdraw", "amount", amount, "account", "BCA 1234567890").want(http.StatusUnauthorized).challenge()
}

var errTestDown = errors.New("down for the test")
