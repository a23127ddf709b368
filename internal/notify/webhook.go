package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/stepgate/stepgate/internal/standardwebhooks"
	"github.com/stepgate/stepgate/internal/unanswered"
)

// DefaultTimeout is how long sending one notice may take, all tries together.
const DefaultTimeout = 5 * time.Second

// waits are the times between one try and the next. There is one try more.
var waits = []time.Duration{200 * time.Millisecond, time.Second}

// Webhook sends notices to an address of the site. URL and Secret are required; the
// zero value of every other field is its default. It is safe for concurrent use.
type Webhook struct {
	// URL is where notices go. See [CheckURL].
	URL string
	// Secret is what they are signed with.
	Secret standardwebhooks.Secret
	// Timeout bounds the sending of one notice, all tries together. Default
	// DefaultTimeout.
	Timeout time.Duration
	// Client makes the requests; its own handling of redirects is not used. Default:
	// one with the transport of net/http.
	Client *http.Client
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Wait waits between two tries, or until the context is done. Default: a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

// CheckURL reports what is wrong with an address for notices, or nil. It is an https
// URL, or an http one whose host is on this machine or in a private network as far as
// its name tells: a loopback or private address, localhost, a name without a dot, or
// one below .internal. Anywhere else whoever listens would read who the players are.
// The error does not repeat the address, which may hold a token.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return errors.New("the address for notices is no URL: write one such as https://site.internal/hooks/stepgate")
	case u.User != nil:
		return errors.New("the address for notices has a user or a password, which logs would show: leave them out, because the signature says who sends")
	case u.Fragment != "":
		return errors.New("the address for notices has a fragment, which is never sent: leave out # and what follows")
	case u.Scheme == "https" || u.Scheme == "http" && isPrivate(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("the address for notices is http on a host that may be anywhere: write https, or an address of a private network")
	}
	return errors.New("the address for notices is neither https nor http: write one such as https://site.internal/hooks/stepgate")
}

func isPrivate(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsPrivate()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".internal")
}

// Send sends a notice, and again under the same id where there is no answer or one
// that may be another in a moment: three times at most. An answer of 2xx means that
// the site has it; what the answer says is not read. A redirect is not followed,
// because the signature is meant for this address. The error is for the operator, and
// has nothing of the notice, the secret or the address but its host.
func (w *Webhook) Send(ctx context.Context, n Notice) error {
	if err := n.check(); err != nil {
		return fmt.Errorf("sending notice: %w", err)
	}
	if w.Secret.IsZero() {
		return fmt.Errorf("sending notice: %w", standardwebhooks.ErrSecret)
	}
	body, err := n.payload()
	if err != nil {
		return fmt.Errorf("sending notice: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout())
	defer cancel()
	for try := 0; ; try++ {
		again, err := w.post(ctx, n.ID, body)
		if err == nil {
			return nil
		}
		if !again || try == len(waits) || w.wait(ctx, waits[try]) != nil {
			return fmt.Errorf("sending notice, try %d: %w", try+1, err)
		}
	}
}

// post makes one try. again says that another one may succeed.
func (w *Webhook) post(ctx context.Context, id string, body []byte) (again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("the address for notices is no URL") // the cause would repeat it
	}
	request.Header = http.Header{"Content-Type": {"application/json"}, "User-Agent": {"stepgate"}}
	w.Secret.Sign(request.Header, id, w.now(), body)
	client := http.Client{}
	if w.Client != nil {
		client = *w.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(request)
	if err != nil {
		return ctx.Err() == nil, unanswered.Reason(ctx, err)
	}
	_ = answer.Body.Close() // only the status counts
	switch code := answer.StatusCode; {
	case code/100 == 2:
		return false, nil
	case code/100 == 3:
		return false, fmt.Errorf("the site answers %d, and redirects are not followed: write the address that it leads to", code)
	default:
		again = code/100 == 5 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
		return again, fmt.Errorf("the site answers %d", code)
	}
}

func (w *Webhook) timeout() time.Duration {
	if w.Timeout <= 0 {
		return DefaultTimeout
	}
	return w.Timeout
}

func (w *Webhook) now() time.Time {
	if w.Now == nil {
		return time.Now()
	}
	return w.Now()
}

func (w *Webhook) wait(ctx context.Context, d time.Duration) error {
	if w.Wait != nil {
		return w.Wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
