package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"github.com/stepgate/stepgate/store"
)

// The buckets of the file.
var (
	metaBucket    = []byte("meta")     // "format" -> formatVersion in decimal; "copy" -> mark of an unfinished copy
	recordsBucket = []byte("records")  // key -> record
	countBucket   = []byte("counters") // key -> counter
	expiryBucket  = []byte("expiry")   // expiry entry -> nothing
	auditBucket   = []byte("audit")    // sequence number, 8 bytes -> event
)

// formatVersion is the layout that this package reads and writes. Opening a file
// of another one is refused: guessing at records means guessing at second factors.
const formatVersion = 1

var formatKey = []byte("format")

// prepare makes the buckets of a new file, or checks those of an old one.
func prepare(db *bbolt.DB, o Options) error {
	fresh := false
	err := db.View(func(tx *bbolt.Tx) error {
		first, _ := tx.Cursor().First()
		if fresh = first == nil; fresh {
			return nil
		}
		return checkFormat(tx)
	})
	switch {
	case err != nil:
		return err
	case fresh && o.Existing:
		return store.ErrNoStore
	case !fresh && !o.Unfinished:
		return checkFinished(db)
	case !fresh:
		return nil
	}
	// One transaction, so that a crash leaves either nothing or everything.
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{metaBucket, recordsBucket, countBucket, expiryBucket, auditBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put(formatKey, []byte(strconv.Itoa(formatVersion)))
	})
}

func checkFormat(tx *bbolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return errors.New("the file is a bbolt database, but not one of Stepgate's")
	}
	found, err := strconv.Atoi(string(meta.Get(formatKey)))
	if err != nil || found < 1 {
		return errors.New("the file does not say which format it has")
	}
	if found > formatVersion {
		return fmt.Errorf("the file has format %d and this Stepgate reads up to %d: it was written by a newer Stepgate, run that one", found, formatVersion)
	}
	for _, name := range [][]byte{recordsBucket, countBucket, expiryBucket, auditBucket} {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("the file has no bucket %q", name)
		}
	}
	return nil
}

// instant is a time in microseconds since 1970 UTC; 0 means never.
type instant int64

// maxYear bounds what an instant is made of, as RFC 3339 does.
const maxYear = 9999

func newInstant(t time.Time) (instant, error) {
	switch {
	case t.IsZero():
		return 0, nil
	case t.UnixMicro() <= 0 || t.UTC().Year() > maxYear:
		return 0, fmt.Errorf("expiry lies in the year %d: want 1970 to %d", t.UTC().Year(), maxYear)
	}
	return instant(t.UnixMicro()), nil
}

func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(i)).UTC()
}

// past reports whether i has come. Never does not come.
func (i instant) past(now time.Time) bool { return i != 0 && now.UnixMicro() >= int64(i) }

const (
	recordTag    = 'r'
	counterTag   = 'c'
	headerLength = 1 + 8 + 8
)

// A record is its tag, its version, its expiry, and the value to the end. All
// numbers in the file are big-endian.
type record struct {
	version uint64
	expires instant
	value   []byte
}

func (r record) encode() []byte {
	b := make([]byte, 0, headerLength+len(r.value))
	b = append(b, recordTag)
	b = binary.BigEndian.AppendUint64(b, r.version)
	b = binary.BigEndian.AppendUint64(b, uint64(r.expires))
	return append(b, r.value...)
}

var (
	errRecord  = errors.New("record is damaged")
	errCounter = errors.New("counter is damaged")
	errExpiry  = errors.New("expiry index is damaged")
	errAudit   = errors.New("audit log is damaged")
)

// parseRecord reads what encode wrote and nothing else. The value is part of b.
func parseRecord(b []byte) (record, error) {
	if len(b) < headerLength || len(b) > headerLength+store.MaxValueLength || b[0] != recordTag {
		return record{}, errRecord
	}
	r := record{
		version: binary.BigEndian.Uint64(b[1:]),
		expires: instant(binary.BigEndian.Uint64(b[9:])),
		value:   b[headerLength:],
	}
	if r.version == 0 || r.expires < 0 {
		return record{}, errRecord
	}
	return r, nil
}

// export gives the record to a caller, who owns what it gets.
func (r record) export(key store.Key) store.Record {
	return store.Record{
		Key:     key,
		Value:   append([]byte{}, r.value...),
		Version: r.version,
		Expires: r.expires.time(),
	}
}

// A counter is its tag, its sum and the end of its window, which is never 0.
type counter struct {
	sum   int64
	until instant
}

func (c counter) encode() []byte {
	b := make([]byte, 0, headerLength)
	b = append(b, counterTag)
	b = binary.BigEndian.AppendUint64(b, uint64(c.sum))
	return binary.BigEndian.AppendUint64(b, uint64(c.until))
}

func parseCounter(b []byte) (counter, error) {
	if len(b) != headerLength || b[0] != counterTag {
		return counter{}, errCounter
	}
	c := counter{
		sum:   int64(binary.BigEndian.Uint64(b[1:])),
		until: instant(binary.BigEndian.Uint64(b[9:])),
	}
	if c.until <= 0 {
		return counter{}, errCounter
	}
	return c, nil
}

// An expiry entry is the instant, the tag of what expires then, and its key, so
// that the entries sort by time.
type expiry struct {
	at  instant
	tag byte
	key store.Key
}

func (e expiry) encode() []byte {
	b := make([]byte, 0, 9+len(e.key))
	b = binary.BigEndian.AppendUint64(b, uint64(e.at))
	b = append(b, e.tag)
	return append(b, e.key...)
}

func parseExpiry(b []byte) (expiry, error) {
	if len(b) < 9 {
		return expiry{}, errExpiry
	}
	e := expiry{
		at:  instant(binary.BigEndian.Uint64(b)),
		tag: b[8],
		key: store.Key(b[9:]),
	}
	if e.at <= 0 || e.tag != recordTag && e.tag != counterTag || e.key.Validate() != nil {
		return expiry{}, errExpiry
	}
	return e, nil
}

func auditKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func parseAuditKey(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, errAudit
	}
	return binary.BigEndian.Uint64(b), nil
}
