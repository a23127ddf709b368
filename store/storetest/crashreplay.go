package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/stepgate/stepgate/store"
)

// payload is a value that says text and that is only whole if it is all there: up
// to some pages of bytes that follow from the text.
func payload(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	blocks := int(sum[0]) * int(sum[1]) / 128 // mostly small, at most 16 KiB
	b := append([]byte(text), '\n')
	for range blocks {
		b = append(b, sum[:]...)
		sum = sha256.Sum256(sum[:])
	}
	return b
}

// replay is what the audit log says that the records must be.
type replay struct {
	texts    map[store.Key]string
	versions map[store.Key]uint64
	seen     map[string]bool
}

// play applies one event and refuses what cannot have followed.
func (r *replay) play(text string) error {
	if r.seen[text] {
		return fmt.Errorf("event %q stands twice in the audit log", text)
	}
	r.seen[text] = true
	var n, m int
	var name string
	var key store.Key
	var before string
	switch {
	case scan(text, countText, &n, &m):
		key = countKey(n)
		if m > 1 {
			before = fmt.Sprintf(countText, n, m-1)
		}
	case scan(text, madeText, &name):
		key = crashToken(name)
	case scan(text, usedText, &name, &n):
		key, before = crashToken(name), fmt.Sprintf(madeText, name)
	case scan(text, keptText, &name):
		key = goneKey(name)
	case scan(text, goneText, &name):
		key, before = goneKey(name), fmt.Sprintf(keptText, name)
	default:
		return fmt.Errorf("event %q was never written", text)
	}
	if r.texts[key] != before {
		return fmt.Errorf("event %q follows %q, want %q", text, r.texts[key], before)
	}
	if key == goneKey(name) && before != "" {
		delete(r.texts, key)
		return nil
	}
	r.texts[key] = text
	r.versions[key]++
	return nil
}

func scan(text, format string, into ...any) bool {
	n, err := fmt.Sscanf(text, format, into...)
	return err == nil && n == len(into)
}

// compare checks that the store has exactly the records that the log tells of.
func (r *replay) compare(ctx context.Context, s store.Store) error {
	found := 0
	for after := store.Key(""); ; {
		records, err := s.Scan(ctx, "", after, 200)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			break
		}
		for _, got := range records {
			if got.Key <= after {
				return fmt.Errorf("scan after %q returned %q", after, got.Key)
			}
			found++
			text := r.texts[got.Key]
			if text == "" || !bytes.Equal(got.Value, payload(text)) || got.Version != r.versions[got.Key] {
				return fmt.Errorf("record is %s, want %q of version %d whole, as its last event says", show(got), text, r.versions[got.Key])
			}
			after = got.Key
		}
	}
	if found != len(r.texts) {
		return fmt.Errorf("store has %d records, want the %d of which events tell", found, len(r.texts))
	}
	return nil
}
