package identity

import (
	"container/list"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The defaults of CacheOptions.
const (
	DefaultTTL           = 30 * time.Second
	DefaultMaxEntries    = 10_000
	DefaultFlightTimeout = 5 * time.Second
)

// CacheOptions says how long and how much a cache remembers. The zero value is
// good.
type CacheOptions struct {
	// TTL is how long an answer is given again, counted from the question. Default:
	// [DefaultTTL]. For so long a session that the site ended, or whose player logged
	// in as somebody else without getting a new session, counts as what it was,
	// unless the cache is told to Forget it.
	TTL time.Duration
	// Off remembers nothing: each caller asks, and gets no answer to a question that had
	// left before. For a site whose sessions change hands where no cache is told of it, as
	// at another gateway.
	Off bool
	// MaxEntries bounds the number of answers; beyond it the oldest goes. Default:
	// [DefaultMaxEntries].
	MaxEntries int
	// FlightTimeout bounds one question to the source. Default:
	// [DefaultFlightTimeout].
	FlightTimeout time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Cached is a source that remembers the answers of another one, and asks it one
// question at a time about each credential. Make one with [Cache].
//
// Only identities are remembered. An error is not, and neither is ErrAnonymous: on
// many sites a visitor keeps the session that he logs in with, and would be
// anonymous for a while after. So a flood of made-up sessions takes no memory.
//
// The source must tell the identity from the credential alone, because its answer
// is given to every request that bears it: it is asked with a copy of the first
// request without body, and a context that ends when nobody waits any more and
// has none of the request's values.
type Cached struct {
	source        Source
	ttl           time.Duration
	off           bool
	maxEntries    int
	flightTimeout time.Duration
	now           func() time.Time
	// secret goes before what is hashed to a key, so that nobody outside this
	// process can compute keys.
	secret [sha256.Size]byte

	mu      sync.Mutex // guards what follows
	entries map[cacheKey]*list.Element
	order   *list.List // of *entry, the oldest question first
	// flights are the questions that are under way, the latest last. Several about one
	// credential are while it is unsettled.
	flights map[cacheKey][]*flight
	// unsettled counts the requests under way that may change whose a credential is.
	unsettled map[cacheKey]int
}

// cacheKey is a keyed digest of a credential, so that memory holds no sessions.
type cacheKey [sha256.Size]byte

type entry struct {
	key     cacheKey
	id      Identity
	memo    *Memo
	expires time.Time
}

// flight is one question that is under way, as long as it stands in flights.
type flight struct {
	key     cacheKey
	asked   time.Time
	cancel  context.CancelFunc
	waiting int // callers; guarded by the cache's mu

	memo *Memo
	done chan struct{} // closed when the rest is set, which then changes no more
	id   Identity
	err  error
	// forgotten says that no answer will come, because it would belong to a time
	// before a Forget.
	forgotten bool
}

// Cache returns a source that remembers what src answers.
func Cache(src Source, o CacheOptions) *Cached {
	c := &Cached{
		source:        src,
		ttl:           o.TTL,
		off:           o.Off,
		maxEntries:    o.MaxEntries,
		flightTimeout: o.FlightTimeout,
		now:           o.Now,
		entries:       make(map[cacheKey]*list.Element),
		order:         list.New(),
		flights:       make(map[cacheKey][]*flight),
		unsettled:     make(map[cacheKey]int),
	}
	if c.ttl <= 0 {
		c.ttl = DefaultTTL
	}
	if c.maxEntries <= 0 {
		c.maxEntries = DefaultMaxEntries
	}
	if c.flightTimeout <= 0 {
		c.flightTimeout = DefaultFlightTimeout
	}
	if c.now == nil {
		c.now = time.Now
	}
	rand.Read(c.secret[:]) // never fails
	return c
}

// Credential finds the session credential in a request, as the source does.
func (c *Cached) Credential(r *http.Request) (Credential, error) { return c.source.Credential(r) }

// Identify returns a remembered answer, or joins the question that is under way
// about the same credential, or asks. If ctx ends it returns its error; the
// question goes on for the others who wait for it.
func (c *Cached) Identify(ctx context.Context, r *http.Request, cred Credential) (Identity, error) {
	id, _, err := c.Recall(ctx, r, cred)
	return id, err
}

// Recall is Identify, with the memo that lasts as long as the answer does. Of several
// credentials each is asked about, and remembered, by itself; the memo is that of the
// one that speaks for the player.
func (c *Cached) Recall(ctx context.Context, r *http.Request, cred Credential) (Identity, *Memo, error) {
	if cred.beside == nil {
		return c.recall(ctx, r, cred)
	}
	return agree(cred, true, func(one Credential) (Identity, *Memo, error) { return c.recall(ctx, r, one) })
}

// recall is Recall for one credential.
func (c *Cached) recall(ctx context.Context, r *http.Request, cred Credential) (Identity, *Memo, error) {
	key := c.key(cred)
	for {
		c.mu.Lock()
		if e := c.lookup(key); e != nil {
			c.mu.Unlock()
			return e.id, e.memo, nil
		}
		f := c.joinable(key)
		if f == nil {
			f = c.ask(key, r, cred)
		}
		f.waiting++
		c.mu.Unlock()

		select {
		case <-f.done:
		case <-ctx.Done():
			c.leave(f)
			return Identity{}, new(Memo), fmt.Errorf("asking the site: %w", ctx.Err())
		}
		if !f.forgotten {
			return f.id, f.memo, f.err
		}
	}
}

// Forget drops what is remembered about a credential, and what is being asked. Who
// waits for such an answer asks again, at once. An answer that had come, and was on
// its way to a caller, counts as given before.
func (c *Cached) Forget(cred Credential) {
	// The source goes first: whatever we asked it before has to be forgotten with
	// its old memory still in it.
	if s, ok := c.source.(Forgetter); ok {
		s.Forget(cred)
	}
	for one := range cred.All() {
		key := c.key(one)
		c.mu.Lock()
		c.forget(key)
		c.mu.Unlock()
	}
}

// forget drops what is remembered and being asked under a key. Callers hold mu.
func (c *Cached) forget(key cacheKey) {
	if e := c.entries[key]; e != nil {
		c.drop(e)
	}
	c.abandon(key)
}

// Unsettle forgets what is known of a credential, and remembers nothing about it
// until the request is over that may change whose it is.
//
// Forgetting before and after that request would not do. A question that is asked
// while the site thinks, and answered before it has changed the session, would be
// remembered after the change for as long as the client takes to read the answer
// to its login, which is as long as it likes.
func (c *Cached) Unsettle(cred Credential) (settled func()) {
	var behind func()
	if s, ok := c.source.(Forgetter); ok {
		behind = s.Unsettle(cred)
	}
	keys := make([]cacheKey, 0, 1)
	for one := range cred.All() {
		keys = append(keys, c.key(one))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		c.unsettled[key]++
		c.forget(key)
	}
	return func() {
		if behind != nil {
			behind()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, key := range keys {
			if c.unsettled[key]--; c.unsettled[key] == 0 {
				delete(c.unsettled, key)
			}
			c.forget(key)
		}
	}
}

// ForgetAll drops everything that is remembered, and being asked.
func (c *Cached) ForgetAll() {
	if s, ok := c.source.(Forgetter); ok {
		s.ForgetAll()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.order.Init()
	for key := range c.flights {
		c.abandon(key)
	}
}

// abandon ends the questions whose answers may be out of date. Callers hold mu.
func (c *Cached) abandon(key cacheKey) {
	for _, f := range c.flights[key] {
		f.forgotten = true
		close(f.done)
		f.cancel()
	}
	delete(c.flights, key)
}

// joinable returns the question under way whose answer a new caller may have, or nil.
// While a credential is unsettled that is none: the site may have changed its mind
// since the question left. Callers hold mu.
func (c *Cached) joinable(key cacheKey) *flight {
	if f := c.flights[key]; len(f) > 0 && c.remembers(key) {
		return f[0]
	}
	return nil
}

// remembers reports whether an answer may be given to another caller than the one that
// it was asked for. Callers hold mu.
func (c *Cached) remembers(key cacheKey) bool { return !c.off && c.unsettled[key] == 0 }

// end takes a question off those under way. It reports false if it was none of them.
// Callers hold mu.
func (c *Cached) end(f *flight) bool {
	others := slices.DeleteFunc(c.flights[f.key], func(o *flight) bool { return o == f })
	if len(others) == len(c.flights[f.key]) {
		return false
	}
	c.flights[f.key] = others
	if len(others) == 0 {
		delete(c.flights, f.key)
	}
	return true
}

// lookup returns the live answer under a key, or nil. Callers hold mu; an entry
// never changes.
func (c *Cached) lookup(key cacheKey) *entry {
	e := c.entries[key]
	if e == nil || !c.now().Before(e.Value.(*entry).expires) {
		return nil
	}
	return e.Value.(*entry)
}

// ask starts a question. Callers hold mu.
func (c *Cached) ask(key cacheKey, r *http.Request, cred Credential) *flight {
	// The request and its context belong to a handler that may return, or change
	// them, before the answer comes.
	ctx, cancel := context.WithTimeout(context.Background(), c.flightTimeout)
	r = r.Clone(ctx)
	r.Body = http.NoBody
	f := &flight{key: key, asked: c.now(), cancel: cancel, done: make(chan struct{})}
	f.memo = &Memo{asked: f.asked}
	c.flights[key] = append(c.flights[key], f)
	go func() {
		defer cancel()
		id, err := identify(ctx, c.source, r, cred)
		c.land(f, id, err)
	}()
	return f
}

// identify asks a source and turns a panic into an error: outside of net/http's
// handler it would end the process.
func identify(ctx context.Context, src Source, r *http.Request, cred Credential) (id Identity, err error) {
	defer func() {
		if recover() != nil {
			id, err = Identity{}, errors.New("asking the site: the identity source panicked")
		}
	}()
	return src.Identify(ctx, r, cred)
}

// land ends a question: the answer goes to those who wait, and is remembered.
func (c *Cached) land(f *flight, id Identity, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.end(f) {
		return // forgotten, or everybody left
	}
	f.id, f.err = id, err
	close(f.done)
	if err == nil && c.remembers(f.key) {
		c.remember(&entry{key: f.key, id: id, memo: f.memo, expires: f.asked.Add(c.ttl)})
	}
}

// leave ends one caller's waiting. A question for which nobody waits is given up,
// so that opening and dropping requests does not heap up questions.
func (c *Cached) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiting--
	if f.waiting == 0 && c.end(f) {
		f.cancel()
	}
}

// remember stores an answer, and drops the oldest ones that have expired or are
// too many. Callers hold mu.
func (c *Cached) remember(e *entry) {
	if old := c.entries[e.key]; old != nil {
		c.drop(old)
	}
	c.entries[e.key] = c.order.PushBack(e)
	for now := c.now(); ; {
		oldest := c.order.Front()
		if oldest == nil || c.order.Len() <= c.maxEntries && now.Before(oldest.Value.(*entry).expires) {
			return
		}
		c.drop(oldest)
	}
}

// drop removes an answer. Callers hold mu.
func (c *Cached) drop(e *list.Element) {
	delete(c.entries, e.Value.(*entry).key)
	c.order.Remove(e)
}

// key hashes a credential with its kind and name. It allocates nothing for the
// credentials that sites use.
func (c *Cached) key(cred Credential) cacheKey {
	var space [1024]byte
	b := append(space[:0], c.secret[:]...)
	b = append(b, byte(cred.Kind))
	b = binary.BigEndian.AppendUint64(b, uint64(len(cred.Name)))
	b = append(b, cred.Name...)
	b = append(b, cred.Value...)
	return sha256.Sum256(b)
}

var (
	_ Recaller  = (*Cached)(nil)
	_ Forgetter = (*Cached)(nil)
)
