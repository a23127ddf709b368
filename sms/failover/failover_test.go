package failover

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/sms"
)

var message = sms.Message{To: "+6281234567890", Text: "Kode Example Anda: 123456.", Code: "123456", Ref: "m-1", Locale: "id", Validity: 5 * time.Minute}

// sender is a provider that does what a test says.
type sender func(ctx context.Context, m sms.Message) (sms.Receipt, error)

func (s sender) Send(ctx context.Context, m sms.Message) (sms.Receipt, error) { return s(ctx, m) }

func accept(context.Context, sms.Message) (sms.Receipt, error) { return sms.Receipt{ID: "id"}, nil }

// answer is a sender that refuses with a class, or accepts.
func answer(class sms.Class) sender {
	if class == accepted {
		return accept
	}
	return func(context.Context, sms.Message) (sms.Receipt, error) {
		return sms.Receipt{}, &sms.Error{Class: class, Err: errAsTold}
	}
}

// following is a sender that does what *does says at the time.
func following(does *sender) sender {
	return func(ctx context.Context, m sms.Message) (sms.Receipt, error) { return (*does)(ctx, m) }
}

// ledger is told of attempts.
type ledger struct {
	refuse func(provider string) error

	mu            sync.Mutex // guards before, after, ended
	before, after []string   // names of providers
	ended         []result
}

func (l *ledger) Before(_ context.Context, provider string) error {
	if l.refuse != nil {
		if err := l.refuse(provider); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = append(l.before, provider)
	return nil
}

func (l *ledger) After(ctx context.Context, provider string, r sms.Receipt, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		panic("After has a context that is over, and could write nothing down")
	}
	l.after = append(l.after, provider)
	l.ended = append(l.ended, result{r, err})
}

// counts returns how often Before gave no error and After was told.
func (l *ledger) counts() (before, after int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.before), len(l.after)
}

// check checks which providers were handed the message, and that each of them was told.
func (l *ledger) check(t *testing.T, handed ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got, want := strings.Join(l.before, " "), strings.Join(handed, " "); got != want {
		t.Errorf("Before was asked for %q, want %q", got, want)
	}
	if got, want := strings.Join(l.after, " "), strings.Join(handed, " "); got != want {
		t.Errorf("After was told of %q, want %q", got, want)
	}
}

func newRouter(t *testing.T, c Config) *Router {
	t.Helper()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewSaysWhatIsWrongWithTheConfiguration(t *testing.T) {
	both := []Provider{{Name: "main", Sender: sender(accept)}, {Name: "backup", Sender: sender(accept)}}
	for _, c := range []struct {
		name   string
		config Config
		want   string
	}{
		{"no providers", Config{}, "there are no providers: want at least one"},
		{"no name", Config{Providers: []Provider{{Sender: sender(accept)}}}, "a provider has no name: give it one, such as main"},
		{"no sender", Config{Providers: []Provider{{Name: "main"}}}, `provider "main" has no sender`},
		{"two of a name", Config{Providers: []Provider{both[0], both[0]}}, `two providers are named "main": give each a name of its own`},
		{"a negative rate", Config{Providers: []Provider{{Name: "main", Sender: sender(accept), PerSecond: -1}}},
			`provider "main" gets a negative number of messages a second: write 1 or more, such as 30`},
		{"a negative timeout", Config{Providers: both, AttemptTimeout: -1},
			"a timeout is negative: write how long sending may take, such as 5s for one provider and 9s in all"},
		{"a total that is too short", Config{Providers: both, AttemptTimeout: 10 * time.Second},
			"the total timeout of 9s is shorter than the 10s of one attempt: write at least as much, and room for a second attempt, such as 20s"},
		{"an unknown region", Config{Providers: both, Routes: map[string][]string{"id": {"main"}}},
			`route: region "id" is not known: want an ISO 3166-1 alpha-2 code in capitals, such as ID`},
		{"an empty route", Config{Providers: both, Routes: map[string][]string{"ID": {}}},
			"route ID: it names no provider: want one or more of backup, main"},
		{"an unknown provider", Config{Providers: both, Routes: map[string][]string{"ID": {"mian"}}},
			`route ID: there is no provider "mian": want one or more of backup, main`},
		{"one twice", Config{Providers: both, Routes: map[string][]string{"ID": {"main", "main"}}},
			`route ID: it names provider "main" twice: want each once, since none gets the same message again`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(c.config)
			if err == nil || err.Error() != c.want {
				t.Errorf("New = %v, want %q", err, c.want)
			}
		})
	}
}

func TestAMessageTakesTheRouteOfItsRegionWithTheOneToAvoidLast(t *testing.T) {
	for _, c := range []struct {
		name  string
		to    sms.Number
		avoid string
		want  []string // the two that are handed it
	}{
		{"a region with a route", "+6281234567890", "", []string{"c", "a"}},
		{"a region without one", "+6591234567", "", []string{"a", "b"}},
		{"no region", "+87012345678", "", []string{"a", "b"}},
		{"avoiding the first", "+6281234567890", "c", []string{"a", "c"}},
		{"avoiding the last", "+6281234567890", "a", []string{"c", "a"}},
		{"avoiding the first of three", "+6591234567", "a", []string{"b", "c"}},
		{"avoiding one that is not on the route", "+6281234567890", "b", []string{"c", "a"}},
		{"avoiding one that is no more", "+6281234567890", "z", []string{"c", "a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRouter(t, Config{
				Providers: []Provider{{Name: "a", Sender: answer(sms.NotSent)}, {Name: "b", Sender: answer(sms.NotSent)}, {Name: "c", Sender: answer(sms.NotSent)}},
				Routes:    map[string][]string{"ID": {"c", "a"}},
			})
			m := message
			m.To, m.Avoid = c.to, c.avoid
			for range 2 { // to avoid one must not change the route
				var l ledger
				if _, err := r.Send(t.Context(), m, &l); sms.ClassOf(err) != sms.NotSent {
					t.Errorf("Send = %v, want class not_sent", err)
				}
				l.check(t, c.want...)
			}
		})
	}
}

func TestBothProvidersGetTheSameMessage(t *testing.T) {
	var got []sms.Message
	note := func(class sms.Class) sender {
		return func(ctx context.Context, m sms.Message) (sms.Receipt, error) {
			got = append(got, m)
			return answer(class).Send(ctx, m)
		}
	}
	r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: note(sms.Unknown)}, {Name: "backup", Sender: note(accepted)}}})
	if _, err := r.Send(t.Context(), message, new(ledger)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]sms.Message{message, message}, got); diff != "" {
		t.Errorf("the providers got (-want +got):\n%s", diff)
	}
}

func TestEventsHaveNames(t *testing.T) {
	for e, want := range map[Event]string{Opened: "opened", Closed: "closed", AccountRefused: "account_refused", Stuck: "stuck", 9: "event_9"} {
		if got := e.String(); got != want {
			t.Errorf("Event(%d).String() = %q, want %q", e, got, want)
		}
	}
}
