package gate

import (
	"errors"
	"hash/maphash"
	"net/http"
	"sync"
	"time"

	"github.com/stepgate/stepgate/identity"
)

// sessions is told of every request that may change whose a session is. It has the
// identity source forget what it remembers of the session, and knows for the session pass
// since when the session is settled. A nil one does nothing.
type sessions struct {
	source identity.Forgetter // nil if the identity source remembers nothing
	marks  *marks             // nil if no passes are given
}

// newSessions returns nil if there is nothing to tell anybody.
func newSessions(source identity.Source, passes *marks) *sessions {
	forgetter, _ := source.(identity.Forgetter)
	if forgetter == nil && passes == nil {
		return nil
	}
	return &sessions{forgetter, passes}
}

// ask has the next question about a credential asked anew.
func (s *sessions) ask(c identity.Credential) {
	if s != nil && s.source != nil {
		s.source.Forget(c)
	}
}

// forward hands on a request, of whose credential c only nothing is remembered that the
// request may have changed. found is the error with which c was found.
func (s *sessions) forward(w http.ResponseWriter, r *http.Request, next Next, c identity.Credential, found error) error {
	switch {
	case s == nil:
		return next.Forward(w, r)
	case !mayWrite(r):
		ours := len(w.Header()["Set-Cookie"])
		err := next.Forward(w, r)
		if len(w.Header()["Set-Cookie"]) > ours {
			s.unsettle(c, found)()
		}
		return err
	default:
		defer s.unsettle(c, found)()
		return next.Forward(w, r)
	}
}

// unsettle says that a request is under way that may change whose c is, until the
// function that it returns is called.
func (s *sessions) unsettle(c identity.Credential, found error) (settled func()) {
	switch {
	case errors.Is(found, identity.ErrAnonymous):
		return func() {}
	case found != nil:
		// Which session the site will read is anybody's guess.
		s.all()
		return s.all
	}
	source, marks := func() {}, func() {}
	if s.source != nil {
		source = s.source.Unsettle(c)
	}
	if s.marks != nil {
		marks = s.marks.unsettle(c)
	}
	return func() {
		source()
		marks()
	}
}

// all says of every session what unsettle says of one.
func (s *sessions) all() {
	if s.source != nil {
		s.source.ForgetAll()
	}
	if s.marks != nil {
		s.marks.all()
	}
}

// maxMarks bounds the memory of marks, at some 20 bytes each; beyond it every pass is
// given anew.
const maxMarks = 1 << 18

// marks knows when each session was last unsettled, for as long as a pass lives that may
// be older than that. It belongs to one gateway; what has to be known by all of them is
// told to the account, see [account.Book.EndSession].
type marks struct {
	lifetime time.Duration
	now      func() time.Time
	seed     maphash.Seed

	mu sync.RWMutex // guards what follows
	// floor is when all sessions were unsettled last, at first when the gate was made.
	floor time.Time
	// young and old hold the last two lifetimes, the one that is not over since begun.
	young, old map[uint64]time.Time
	begun      time.Time
	// underWay counts the requests that may change a session at this moment.
	underWay map[uint64]int
}

func newMarks(lifetime time.Duration, now func() time.Time) *marks {
	return &marks{
		lifetime: lifetime, now: now, seed: maphash.MakeSeed(), floor: now(), begun: now(),
		young: map[uint64]time.Time{}, underWay: map[uint64]int{},
	}
}

// key is that of one credential. Two that share one by chance cost each other a question.
func (m *marks) key(one identity.Credential) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	_ = h.WriteByte(byte(one.Kind))
	_, _ = h.WriteString(one.Name)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(one.Value)
	return h.Sum64()
}

// since returns when the session of a credential was last unsettled. While it is, that is
// in the future.
func (m *marks) since(c identity.Credential) time.Time {
	var at time.Time
	for one := range c.All() {
		if t := m.sinceOne(m.key(one)); t.After(at) {
			at = t
		}
	}
	return at
}

func (m *marks) sinceOne(key uint64) time.Time {
	m.mu.RLock()
	defer m.mu.RUnlock()
	at := m.floor
	for _, t := range []time.Time{m.young[key], m.old[key]} {
		if t.After(at) {
			at = t
		}
	}
	if m.underWay[key] > 0 {
		at = m.now().Add(m.lifetime)
	}
	return at
}

func (m *marks) unsettle(c identity.Credential) (settled func()) {
	var keys []uint64
	for one := range c.All() {
		keys = append(keys, m.key(one))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		m.underWay[key]++
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.turn()
		for _, key := range keys {
			if m.underWay[key]--; m.underWay[key] == 0 {
				delete(m.underWay, key)
			}
			m.young[key] = m.now()
		}
	}
}

// turn forgets the marks that no living pass is older than. Callers hold mu.
func (m *marks) turn() {
	now := m.now()
	if now.Sub(m.begun) >= m.lifetime {
		m.young, m.old, m.begun = map[uint64]time.Time{}, m.young, now
	}
	if len(m.young) >= maxMarks {
		m.floor, m.young = now, map[uint64]time.Time{}
	}
}

func (m *marks) all() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.floor = m.now()
}
