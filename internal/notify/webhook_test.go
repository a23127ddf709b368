package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/standardwebhooks"
)

const (
	key  = "0123456789abcdefghijklmnopqrstuv"
	link = "https://casino.example/.stepgate/object#kq3-Zz"
)

var at = time.Date(2026, 11, 25, 12, 0, 0, 0, time.FixedZone("WIB", 7*3600))

var notice = Notice{ID: "ntc_1", At: at, Kind: "sms_changed", Subject: "u-17", Login: "budi", Email: "budi@mail.example", Link: link}

func secretOf(t *testing.T, key string) standardwebhooks.Secret {
	t.Helper()
	s, err := standardwebhooks.ParseSecret("whsec_" + base64.StdEncoding.EncodeToString([]byte(key)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hook is the site's end: it answers with each status in turn, and notes what came.
type hook struct {
	t        *testing.T
	answers  []int
	location string
	got      []received
}

type received struct {
	id, timestamp, body string
	valid               bool
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Error(err)
	}
	got := received{id: r.Header.Get("webhook-id"), timestamp: r.Header.Get("webhook-timestamp"), body: string(body)}
	// As the specification says, without a line of the code under test.
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s.%s.%s", got.id, got.timestamp, body)
	got.valid = r.Header.Get("webhook-signature") == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		h.t.Errorf("the site gets %s of %q, want POST of application/json", r.Method, r.Header.Get("Content-Type"))
	}
	h.got = append(h.got, got)
	if h.location != "" {
		w.Header().Set("Location", h.location)
	}
	w.WriteHeader(h.answers[min(len(h.got), len(h.answers))-1])
	_, _ = io.WriteString(w, strings.Repeat(string(body), 1000))
}

// sending returns a webhook to a site, and the waits between its tries, in which the
// clock goes on.
func sending(t *testing.T, site http.Handler) (*Webhook, *[]time.Duration) {
	t.Helper()
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	now, waited := time.Unix(1_800_000_000, 0), []time.Duration{}
	return &Webhook{
		URL: server.URL + "/hooks/stepgate?token=t0k3n", Secret: secretOf(t, key), Client: server.Client(),
		Now: func() time.Time { return now },
		Wait: func(_ context.Context, d time.Duration) error {
			waited, now = append(waited, d), now.Add(d)
			return nil
		},
	}, &waited
}

func TestANoticeArrivesSigned(t *testing.T) {
	site := &hook{t: t, answers: []int{204}}
	w, waited := sending(t, site)
	if err := w.Send(t.Context(), notice); err != nil {
		t.Fatal(err)
	}
	if len(site.got) != 1 || !site.got[0].valid || site.got[0].id != "ntc_1" || site.got[0].timestamp != "1800000000" || len(*waited) > 0 {
		t.Fatalf("the site got %+v after waits %v, want one valid request", site.got, *waited)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(site.got[0].body), &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type": "stepgate.notice", "timestamp": "2026-11-25T05:00:00Z",
		"data": map[string]any{
			"kind": "sms_changed", "subject": "u-17", "login": "budi", "email": "budi@mail.example", "at": "2026-11-25T05:00:00Z", "link": link,
		},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	site := &hook{t: t, answers: []int{200}}
	w, _ := sending(t, site)
	if err := w.Send(t.Context(), Notice{ID: "ntc_2", At: at, Kind: "totp_removed", Subject: "u-17"}); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"login", "email", "link"} {
		if strings.Contains(site.got[0].body, field) {
			t.Errorf("body has %s: %s", field, site.got[0].body)
		}
	}
}

func TestATryThatMaySucceedLaterIsMadeAgainUnderTheSameID(t *testing.T) {
	for _, c := range []struct {
		answers []int
		tries   int
		fails   bool
	}{
		{[]int{503, 200}, 2, false},
		{[]int{500, 429, 201}, 3, false},
		{[]int{408, 204}, 2, false},
		{[]int{502, 502, 502, 200}, 3, true},
		{[]int{400, 200}, 1, true},
		{[]int{404, 200}, 1, true},
		{[]int{410, 200}, 1, true},
	} {
		site := &hook{t: t, answers: c.answers}
		w, waited := sending(t, site)
		err := w.Send(t.Context(), notice)
		if (err != nil) != c.fails || len(site.got) != c.tries {
			t.Errorf("answers %v: Send = %v after %d tries, want an error: %v, and %d tries", c.answers, err, len(site.got), c.fails, c.tries)
		}
		sent := int64(1_800_000_000)
		for i, got := range site.got {
			if !got.valid || got.id != "ntc_1" || got.body != site.got[0].body {
				t.Errorf("answers %v: try %d is %+v, want the same notice, validly signed", c.answers, i+1, got)
			}
			if seconds, _ := strconv.ParseInt(got.timestamp, 10, 64); seconds < sent {
				t.Errorf("answers %v: try %d is of %d, want its own time", c.answers, i+1, seconds)
			}
		}
		if diff := cmp.Diff(waits[:c.tries-1], *waited); diff != "" {
			t.Errorf("answers %v: waits (-want +got):\n%s", c.answers, diff)
		}
	}
}

// Whoever a redirect leads to would learn who the players are.
func TestARedirectIsNotFollowed(t *testing.T) {
	followed := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer elsewhere.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		site := &hook{t: t, answers: []int{code}, location: elsewhere.URL}
		w, _ := sending(t, site)
		err := w.Send(t.Context(), notice)
		if err == nil || !strings.Contains(err.Error(), "redirects are not followed") || len(site.got) != 1 || followed {
			t.Errorf("%d: Send = %v after %d tries, followed: %v, want an error after one try", code, err, len(site.got), followed)
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestSendingEndsInItsTime(t *testing.T) {
	for _, c := range []struct{ configured, want time.Duration }{{0, 5 * time.Second}, {2 * time.Second, 2 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			silent := transport(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
			w := &Webhook{URL: "https://site.internal/", Secret: secretOf(t, key), Timeout: c.configured, Client: &http.Client{Transport: silent}}
			began := time.Now()
			err := w.Send(t.Context(), notice)
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != c.want {
				t.Errorf("timeout %v: Send = %v after %v, want that time is up after %v", c.configured, err, took, c.want)
			}
		})
	}
}

func TestTheTimeHoldsForAllTriesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		busy := transport(func(*http.Request) (*http.Response, error) {
			tries++
			time.Sleep(600 * time.Millisecond) // of the bubble's clock
			return &http.Response{StatusCode: 503, Body: http.NoBody}, nil
		})
		w := &Webhook{URL: "https://site.internal/", Secret: secretOf(t, key), Timeout: time.Second, Client: &http.Client{Transport: busy}}
		began := time.Now()
		if err := w.Send(t.Context(), notice); err == nil || tries != 2 || time.Since(began) > 1400*time.Millisecond {
			t.Errorf("Send = %v after %d tries and %v, want an error after two", err, tries, time.Since(began))
		}
	})
}

func TestSendingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	site := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel(); <-ctx.Done() })
	w, _ := sending(t, site)
	if err := w.Send(ctx, notice); !errors.Is(err, context.Canceled) {
		t.Errorf("Send = %v, want context.Canceled", err)
	}
}

// I8: what a site writes back may be what it was sent.
func TestInvariantI8NoErrorRepeatsNoticeSecretOrAddress(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			buffer := make([]byte, 4096)
			n, _ := conn.Read(buffer)
			_, _ = conn.Write(buffer[:n])
			_ = conn.Close()
		}
	}()
	unread, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = unread.Close() // nobody listens there now
	refusing := &hook{t: t, answers: []int{400}}
	w, _ := sending(t, refusing)
	encrypted := httptest.NewTLSServer(refusing)
	encrypted.Config.ErrorLog = nil
	defer encrypted.Close()
	for name, address := range map[string]string{
		"an echo": "http://" + echo.Addr().String() + "/?token=t0k3n", "a refusal": w.URL, "nobody": "http://" + unread.Addr().String() + "/?token=t0k3n",
		"a certificate": strings.Replace(encrypted.URL, "127.0.0.1", "localhost", 1) + "/?token=t0k3n", "no URL": "http://%zz/?token=t0k3n",
	} {
		w.URL, w.Client = address, nil
		err := w.Send(t.Context(), notice)
		if err == nil {
			t.Errorf("%s: Send = nil, want an error", name)
			continue
		}
		for _, secret := range []string{"t0k3n", "budi", "u-17", "kq3", key, base64.StdEncoding.EncodeToString([]byte(key))} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: Send = %v: it repeats %q", name, err, secret)
			}
		}
	}
}

func TestSecretAndNoticePrintWithoutWhatIsInThem(t *testing.T) {
	s := secretOf(t, key)
	dump, err := json.Marshal(map[string]any{"secret": s})
	if err != nil {
		t.Fatal(err)
	}
	w := Webhook{Secret: s}
	printed := string(dump) + fmt.Sprintf("%v %+v %#v %s %v %+v %#v %v %+v %#v", s, s, s, s, w, w, w, notice, notice, notice)
	for _, secret := range []string{key, fmt.Sprint([]byte(key)), "budi", "u-17", "kq3", "0x30"} {
		if strings.Contains(printed, secret) {
			t.Errorf("printed %s: it shows %q", printed, secret)
		}
	}
	if !strings.Contains(printed, "REDACTED") || !strings.Contains(printed, "sms_changed") {
		t.Errorf("printed %s", printed)
	}
}

func TestAnAddressIsPrivateOrEncrypted(t *testing.T) {
	for address, want := range map[string]string{
		"https://casino.example/hooks/stepgate": "", "https://site.internal/": "", "https://203.0.113.5/": "",
		"http://127.0.0.1:8080/hooks": "", "http://[::1]:8080/": "", "http://10.1.2.3/": "", "http://192.168.0.9/": "", "http://[fd00::1]/": "", "http://[::ffff:10.0.0.1]/": "",
		"http://localhost:8080/": "", "http://a.localhost/": "", "http://site/hooks": "", "http://site.internal./": "",
		"http://casino.example/s3cr3t": "write https", "http://203.0.113.5/": "write https", "http://8.8.8.8.example/": "write https", "http://internal.example/": "write https",
		"ftp://site.internal/": "neither https nor http", "site.internal/hooks": "is no URL", "": "is no URL", "https:///s3cr3t": "is no URL", "https:s3cr3t": "is no URL",
		"https://site.internal:s3cr3t/": "is no URL", "https://u:s3cr3t@site.internal/": "user or a password", "https://site.internal/#s3cr3t": "fragment",
	} {
		err := CheckURL(address)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("CheckURL(%q) = %v, want %q", address, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("CheckURL(%q) = %v: it repeats a part of the address", address, err)
		}
	}
}

// The id is signed up to its first full stop: one with a full stop could be moved
// into the timestamp.
func TestANoticeThatCannotBeSignedIsNotSent(t *testing.T) {
	site := &hook{t: t, answers: []int{200}}
	w, _ := sending(t, site)
	bare := &Webhook{URL: w.URL}
	for name, send := range map[string]error{
		"no id":         w.Send(t.Context(), Notice{Kind: "k", Subject: "s"}),
		"full stop":     w.Send(t.Context(), Notice{ID: "a.b", Kind: "k", Subject: "s"}),
		"line break":    w.Send(t.Context(), Notice{ID: "a\r\nX: y", Kind: "k", Subject: "s"}),
		"no kind":       w.Send(t.Context(), Notice{ID: "a", Subject: "s"}),
		"no subject":    w.Send(t.Context(), Notice{ID: "a", Kind: "k"}),
		"no secret":     bare.Send(t.Context(), notice),
		"no time of it": w.Send(t.Context(), Notice{ID: "a", Kind: "k", Subject: "s", At: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}),
	} {
		if send == nil {
			t.Errorf("%s: Send = nil, want an error", name)
		}
	}
	if len(site.got) > 0 {
		t.Errorf("the site got %+v, want nothing", site.got)
	}
}
