package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stepgate/stepgate/store"
)

// benchSizes are how many accounts a store holds in [BenchmarkSizes].
var benchSizes = []int{1_000, 1_000_000}

// BenchmarkSizes measures look-ups and updates of single records in a store with a
// thousand and with a million of them, of the size and with the keys of accounts, all
// of which were read once. open
// returns a new, empty store that is as durable as in service; settle lets it finish
// what filling has left it to do, if that is not nil.
func BenchmarkSizes(b *testing.B, open func(b *testing.B) store.Mover, settle func(b *testing.B)) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			s := open(b)
			b.Cleanup(func() { _ = s.Close() })
			keys := make([]store.Key, n)
			for i := range keys {
				keys[i] = benchKey(i)
			}
			value := benchValue(0)
			Fill(b, s, keys, func(store.Key) ([]byte, error) { return value, nil }, settle)
			random := rand.New(rand.NewPCG(1, uint64(n)))
			b.Run("lookup", func(b *testing.B) {
				for b.Loop() {
					if _, err := s.Get(b.Context(), benchKey(random.IntN(n))); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("update", func(b *testing.B) {
				value := benchValue(0)
				for b.Loop() {
					err := s.Update(b.Context(), benchKey(random.IntN(n)), func(old *store.Record) (*store.Write, error) {
						return &store.Write{Value: value, Events: [][]byte{value[:100]}}, nil
					})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// benchKey is the key of an account: a hash, so that neighbours lie far apart.
func benchKey(i int) store.Key {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d", i))
	return store.NewKey("account", hex.EncodeToString(sum[:11]))
}

// benchValue is as long as a sealed account, and compresses as badly.
func benchValue(i int) []byte {
	random := rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d", i)))
	value := make([]byte, 600)
	_, _ = random.Read(value)
	return value
}

// Fill moves records with the given keys into an empty store, lets settle finish
// what that has left the store to do, if it is not nil, and reads each once: a
// gateway that has run for a while has touched everything.
func Fill(b *testing.B, s store.Mover, keys []store.Key, value func(store.Key) ([]byte, error), settle func(b *testing.B)) {
	b.Helper()
	if err := fill(b.Context(), s, slices.Sorted(slices.Values(keys)), value); err != nil {
		b.Fatal(err)
	}
	if settle != nil {
		settle(b)
	}
	if err := touch(b.Context(), s); err != nil {
		b.Fatal(err)
	}
}

// fill moves records into an empty store, in the order of their keys.
func fill(ctx context.Context, s store.Mover, keys []store.Key, value func(store.Key) ([]byte, error)) error {
	mark := &store.Mark{Source: "benchmark", AsOf: time.Unix(1, 0).UTC()}
	if err := s.Import(ctx, store.Batch{}, nil, mark); err != nil {
		return err
	}
	for page := range slices.Chunk(keys, store.MaxBatch) {
		var batch store.Batch
		for _, key := range page {
			v, err := value(key)
			if err != nil {
				return err
			}
			batch.Records = append(batch.Records, store.Record{Key: key, Value: v, Version: 1})
		}
		next := *mark
		next.Reached = store.Cursor{Key: page[len(page)-1]}
		batch.Next = next.Reached
		if err := s.Import(ctx, batch, mark, &next); err != nil {
			return err
		}
		mark = &next
	}
	return s.Import(ctx, store.Batch{}, mark, nil)
}

// touch reads every record.
func touch(ctx context.Context, s store.Store) error {
	for after := store.Key(""); ; {
		records, err := s.Scan(ctx, "", after, store.MaxBatch)
		if err != nil || len(records) == 0 {
			return err
		}
		after = records[len(records)-1].Key
	}
}
