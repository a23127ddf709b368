//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/pgserver"
)

// terminal is what a visitor types and reads.
type terminal struct {
	t     *testing.T
	typed *io.PipeWriter
	mu    sync.Mutex // guards text
	text  strings.Builder
	ended chan error
}

func (s *terminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *terminal) read() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits for a text that has not been there before the first n bytes.
func (s *terminal) await(from int, pattern string) []string {
	s.t.Helper()
	for began := time.Now(); time.Since(began) < 2*time.Minute; {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(s.read()[from:]); m != nil {
			return m
		}
		select {
		case err := <-s.ended:
			if errors.Is(err, pgserver.ErrNotInstalled) && os.Getenv("CI") != "true" {
				s.t.Skip(err)
			}
			s.t.Fatalf("it ended: %v\n%s", err, s.read())
		case <-time.After(20 * time.Millisecond):
		}
	}
	s.t.Fatalf("%q is not printed:\n%s", pattern, s.read())
	return nil
}

func (s *terminal) enter(line string) {
	s.t.Helper()
	from := len(s.read())
	if _, err := io.WriteString(s.typed, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
	s.await(from, "Done: "+line)
}

// visitor is a player's app.
type visitor struct {
	t    *testing.T
	base string
	http http.Client
}

func (v *visitor) post(path, kind, body string, header ...string) (int, string) {
	v.t.Helper()
	req, err := http.NewRequest("POST", v.base+path, bytes.NewReader([]byte(body)))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

const (
	jsonType = "application/json"
	path     = "/api/v1/withdrawals"
)

func (v *visitor) withdraw(s *terminal, amount int, between func()) {
	v.t.Helper()
	from := len(s.read())
	body := fmt.Sprintf(`{"amount":%d,"account":"BCA 1234567890"}`, amount)
	status, text := v.post(path, jsonType, body)
	var p struct{ Challenge struct{ ID, URL string } }
	if err := json.Unmarshal([]byte(text), &p); err != nil || status != http.StatusUnauthorized {
		v.t.Fatalf("a withdrawal is answered %d, want 401 with a challenge: %s\n%s", status, text, s.read())
	}
	code := s.await(from, `(?s)[^0-9.]([0-9]{6})[^0-9].*ref `+refOf(p.Challenge.ID))[1]
	between()
	answer := fmt.Sprintf(`{"factor":"sms","code":%q}`, code)
	status, text = v.post(p.Challenge.URL, jsonType, answer)
	if status == http.StatusBadGateway {
		// The balancer had a connection to the gateway that was killed, and does not
		// know whether the gateway has read the code. The app sends it again.
		status, text = v.post(p.Challenge.URL, jsonType, answer)
	}
	if status != http.StatusOK {
		v.t.Fatalf("the code is answered %d: %s\n%s", status, text, s.read())
	}
	if status, text := v.post(path, jsonType, body, "Step-Up-Challenge", p.Challenge.ID); status != http.StatusCreated {
		v.t.Fatalf("the approved withdrawal is answered %d: %s", status, text)
	}
}

// refOf is the reference of the first message of a challenge.
func refOf(challenge string) string {
	sum := sha256.Sum256([]byte("stepgate sms " + challenge + "//1"))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// openFolder returns a temporary folder that PostgreSQL's own user gets through to,
// unlike the testing package's.
func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "stepgate-cluster-test-")
	if err == nil {
		err = os.Chmod(folder, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func TestAWithdrawalThroughTheBalancerWhileThingsBreak(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	_ = ln.Close()
	in, typed := io.Pipe()
	s := &terminal{t: t, typed: typed, ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	folder := openFolder(t)
	t.Setenv("TMPDIR", folder)
	go func() { s.ended <- options{listen: "localhost:" + port}.run(ctx, in, s) }()
	s.await(0, "Cluster ready at")

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t, "http://localhost:" + port, http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	login := url.Values{"username": {"budi"}, "password": {"rahasia"}}
	if status, text := v.post("/login", "application/x-www-form-urlencoded", login.Encode()); status != http.StatusSeeOther {
		t.Fatalf("the login is answered %d: %s", status, text)
	}
	v.withdraw(s, 100_000, func() {})
	v.withdraw(s, 200_000, func() { s.enter("kill 1") })
	s.enter("stop database")
	if status, text := v.post(path, jsonType, `{"amount":1,"account":"x"}`); status != http.StatusServiceUnavailable {
		t.Errorf("without the database a withdrawal is answered %d, want 503: %s", status, text)
	}
	s.enter("start database")
	s.enter("start 1")
	v.withdraw(s, 300_000, func() { s.enter("kill 2") })

	cancel()
	if err := <-s.ended; err != nil {
		t.Errorf("ending: %v", err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		_ = conn.Close()
		t.Error("the balancer still listens")
	}
}

func TestOnlyThisMachineIsServed(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:9090", ":9090", "example.com:9090", "9090"} {
		err := options{listen: listen}.run(t.Context(), strings.NewReader(""), io.Discard)
		if err == nil || !strings.Contains(err.Error(), "localhost") {
			t.Errorf("-listen %s: %v, want a refusal", listen, err)
		}
	}
}
