package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	keysFreshFor = 5 * time.Minute  // then they are asked for anew
	keysKeptFor  = time.Hour        // while they cannot be had anew
	keysAskAgain = 10 * time.Second // at the earliest
	maxJWKS      = 512 << 10        // bytes of an answer
)

// jwks are the keys that an issuer publishes at a URL.
//
// # The attacks
//
// Whoever makes up key ids would have us flood the issuer: it is asked once in ten
// seconds at most, whatever comes in. Who answers in the issuer's place signs for anybody:
// so TLS, or a network that is ours, and no redirect. A key that was withdrawn must not
// count for ever, even if the issuer is kept from saying so: after an hour nothing counts
// any more.
type jwks struct {
	url       string
	timeout   time.Duration
	now       func() time.Time
	transport http.RoundTripper

	mu      sync.Mutex // guards what follows
	set     keySet
	fetched time.Time // when set was asked for; zero if it never came
	asked   time.Time // when the last question was sent, or ended
	failed  error     // what became of it
	flight  chan struct{}
}

func newJWKS(address string, timeout time.Duration, now func() time.Time) (*jwks, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("jwks: want an absolute URL, such as https://login.casino.example/.well-known/jwks.json")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("jwks: want a URL without user and fragment")
	case u.Scheme == "http" && !isPrivate(u.Hostname()):
		return nil, errors.New("jwks is http on a host that may be anywhere, and whoever answers in its place signs tokens: want https, or an address of a private network")
	}
	return &jwks{
		url: address, timeout: timeout, now: now,
		// As in Upstream: no redirect, no proxy of the environment. It is asked too rarely to
		// keep a connection.
		transport: &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswerHeader},
	}, nil
}

// isPrivate reports whether a host is on this machine or in a private network as far as
// its name tells.
func isPrivate(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsPrivate()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".internal")
}

func (s *jwks) find(ctx context.Context, id string, a jose.SignatureAlgorithm) ([]any, error) {
	set, err := s.current(ctx, false)
	if err != nil {
		return nil, err
	}
	if found, err := set.find(id, a); err != nil || len(found) > 0 {
		return found, err
	}
	// The issuer may have begun to sign with a new key.
	if set, err = s.current(ctx, true); err != nil {
		return nil, err
	}
	return set.find(id, a)
}

// current returns the keys. Those of a moment ago do not do if renewed is set, unless the
// issuer was asked then.
func (s *jwks) current(ctx context.Context, renewed bool) (keySet, error) {
	for {
		s.mu.Lock()
		set, flight, err := s.known(renewed)
		s.mu.Unlock()
		if flight == nil {
			return set, err
		}
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, fmt.Errorf("asking for the issuer's keys: %w", ctx.Err())
		}
	}
}

// known returns what is known and good enough, or a question under way that has to be
// waited for. Callers hold mu.
func (s *jwks) known(renewed bool) (set keySet, flight chan struct{}, err error) {
	now := s.now()
	age := now.Sub(s.fetched)
	there := !s.fetched.IsZero()
	switch {
	case there && age < keysFreshFor && !renewed:
		return s.set, nil, nil
	case s.flight == nil && (s.asked.IsZero() || now.Sub(s.asked) >= keysAskAgain):
		s.asked = now
		s.flight = make(chan struct{})
		go s.fetch(now)
		return nil, s.flight, nil
	case s.flight != nil:
		return nil, s.flight, nil
	case s.failed == nil:
		return s.set, nil, nil
	case there && age < keysKeptFor && !renewed:
		return s.set, nil, nil
	default:
		return nil, nil, s.failed
	}
}

// fetch asks the issuer, for all who wait.
func (s *jwks) fetch(asked time.Time) {
	set, err := s.ask()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = s.now()
	if s.failed = err; err == nil {
		s.set, s.fetched = set, asked
	}
	close(s.flight)
	s.flight = nil
}

// ask returns the keys that the issuer publishes. It turns a panic into an error: outside
// of net/http's handler it would end the process.
func (s *jwks) ask() (set keySet, err error) {
	defer func() {
		if recover() != nil {
			set, err = nil, errors.New("asking for the issuer's keys: reading them panicked")
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, errors.New("asking for the issuer's keys: its URL cannot be asked")
	}
	req.Header = http.Header{"Accept": {"application/jwk-set+json, application/json"}, "User-Agent": {"Stepgate"}}
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("asking for the issuer's keys: %w", withoutSecrets(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking for the issuer's keys: it answers with status %d", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking for the issuer's keys: %w", withoutSecrets(err))
	case len(text) > maxJWKS:
		return nil, fmt.Errorf("asking for the issuer's keys: its answer is longer than %d bytes", maxJWKS)
	}
	if set, err = readJWKs(text); err != nil {
		return nil, fmt.Errorf("reading the issuer's keys: %w", err)
	}
	return set, nil
}
