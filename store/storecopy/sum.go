package storecopy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"time"

	"github.com/stepgate/stepgate/store"
)

// Sum says what a store holds: two stores with one sum hold the same.
type Sum struct {
	Counts
	// SHA256 is the digest of all records, counters and bodies of audit entries, in
	// their order. Numbers of audit entries are not in it: each store gives its own.
	SHA256 [sha256.Size]byte
}

// String is the counts in words, and the digest in hexadecimal digits.
func (s Sum) String() string {
	return fmt.Sprintf("%v, sha256 %s", s.Counts, hex.EncodeToString(s.SHA256[:]))
}

// String is the counts in words.
func (c Counts) String() string {
	return fmt.Sprintf("%d records, %d counters, %d audit entries", c.Records, c.Counters, c.Events)
}

// sumOf reads a whole store as of an instant.
func sumOf(ctx context.Context, from store.Mover, asOf time.Time, batch int, seen func(Counts)) (sum Sum, err error) {
	d := digest{sha256.New()}
	for at := (store.Cursor{}); at.Part != store.PartEnd; {
		b, err := from.Export(ctx, asOf, at, batch)
		if err != nil {
			return Sum{}, err
		}
		d.batch(b)
		sum.add(b)
		seen(sum.Counts)
		at = b.Next
	}
	d.Sum(sum.SHA256[:0])
	return sum, nil
}

// digest takes items in one canonical form: a letter, then numbers as 8 big-endian
// bytes and texts behind their length. So no two sequences of items look alike, and it
// does not matter how they were cut into batches.
type digest struct{ hash.Hash }

func (d digest) batch(b store.Batch) {
	for _, r := range b.Records {
		d.letter('r')
		d.text([]byte(r.Key))
		d.text(r.Value)
		d.number(r.Version)
		d.time(r.Expires)
	}
	for _, c := range b.Counters {
		d.letter('c')
		d.text([]byte(c.Key))
		d.number(uint64(c.Sum))
		d.time(c.Until)
	}
	for _, body := range b.Events {
		d.letter('a')
		d.text(body)
	}
}

func (d digest) letter(c byte) { d.Write([]byte{c}) }

func (d digest) number(n uint64) { d.Write(binary.BigEndian.AppendUint64(nil, n)) }

func (d digest) text(b []byte) {
	d.number(uint64(len(b)))
	d.Write(b)
}

// time is in microseconds since 1970; 0 is never.
func (d digest) time(t time.Time) {
	if t.IsZero() {
		d.number(0)
		return
	}
	d.number(uint64(t.UnixMicro()))
}
