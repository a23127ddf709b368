package seal

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// Errors for which a ring is not taken over. The one that is in use stays.
var (
	// ErrOtherRing says that two rings have different lookup secrets, or different
	// secrets for one key: they are not states of the same ring.
	ErrOtherRing = errors.New("another key ring than the one in use")
	// ErrKeyNeeded says that a key is missing under which things are still made.
	ErrKeyNeeded = errors.New("a key that is in use is missing")
)

// Adopt puts the keys of a later state of the same ring in the place of those that
// the ring has, for everybody who uses it and at once. It reports whether anything
// changed. Its error is ErrOtherRing or ErrKeyNeeded, and then everything stays as
// it was: under another lookup secret no account would be found and each player
// would count as one without a second factor, and without its current key this node
// could not open what it has just made. A key that is not current yet, or no more,
// may be missing: nothing was made under the one, and the other was retired.
func (r *Ring) Adopt(next *Ring) (changed bool, err error) {
	at := r.held()
	for {
		old := at.Load()
		s, err := old.follow(next.secrets(), r.now())
		if err != nil || s == nil {
			return false, err
		}
		if at.CompareAndSwap(old, s) {
			return true, nil
		}
	}
}

// follow returns what s becomes when next is taken over, nil if it is the same.
func (s *secrets) follow(next *secrets, now time.Time) (*secrets, error) {
	if !bytes.Equal(s.lookup, next.lookup) {
		return nil, fmt.Errorf("its lookup secret is not the same: %w", ErrOtherRing)
	}
	same := len(s.keys) == len(next.keys)
	keys := make([]*ringKey, len(next.keys))
	for i, k := range next.keys {
		keys[i] = k
		have := s.key(k.id)
		switch {
		case have == nil:
			same = false
		case !bytes.Equal(have.secret, k.secret):
			return nil, fmt.Errorf("its key %d is not the same: %w", k.id, ErrOtherRing)
		case !have.from.Equal(k.from):
			same = false
		}
	}
	if current := s.current(now); next.key(current.id) == nil {
		return nil, fmt.Errorf("key %d: %w", current.id, ErrKeyNeeded)
	}
	if same {
		return nil, nil
	}
	// The hashes under the lookup secret stay as they are, and warm.
	return &secrets{generation: s.generation + 1, lookup: s.lookup, macs: s.macs, keys: keys}, nil
}

// Generation counts the changes by Adopt. Whoever keeps what was made of the keys
// ([Ring.Key]) must make it again when it is another.
func (r *Ring) Generation() uint64 { return r.secrets().generation }

// Errors for which a key is not retired.
var (
	// ErrInUse says that a key is current, or is still to become so.
	ErrInUse = errors.New("key is in use")
	// ErrJustUsed says that what was made under a key may not have expired yet.
	ErrJustUsed = errors.New("key was current a short time ago")
)

// Retire returns a ring without a key. Cookies and codes under it are worthless
// from then on and records under it cannot be opened any more. It is ErrUnknownKey
// if there is none of that id, ErrInUse if it is current or still to become so,
// and ErrJustUsed if it was current less than rest ago.
func (r *Ring) Retire(id KeyID, now time.Time, rest time.Duration) (*Ring, error) {
	s := r.secrets()
	if s.key(id) == nil {
		return nil, fmt.Errorf("retiring key %d: %w", id, ErrUnknownKey)
	}
	if id >= s.current(now).id {
		return nil, fmt.Errorf("retiring key %d: %w", id, ErrInUse)
	}
	var keys []*ringKey
	ended := now // when the first newer key became current
	for _, k := range s.keys {
		if k.id > id && k.from.Before(ended) {
			ended = k.from
		}
		if k.id != id {
			keys = append(keys, k)
		}
	}
	if now.Sub(ended) < rest {
		return nil, fmt.Errorf("retiring key %d: %w", id, ErrJustUsed)
	}
	return r.with(keys)
}

// KeyState is what may be told of a key.
type KeyState struct {
	ID KeyID
	// Created is when it was made, From is from when it is the current one; both in
	// UTC and to the second.
	Created, From time.Time
	// Current tells that new things are made under it.
	Current bool
}

// Keys tells of all keys at a time, the newest first. It holds no secret.
func (r *Ring) Keys(now time.Time) []KeyState {
	s := r.secrets()
	states := make([]KeyState, len(s.keys))
	for i, k := range s.keys {
		states[i] = KeyState{ID: k.id, Created: k.created, From: k.from, Current: k == s.current(now)}
	}
	return states
}
