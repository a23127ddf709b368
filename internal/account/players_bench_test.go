package account_test

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/pgserver"
	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
	"github.com/stepgate/stepgate/store/postgres"
	"github.com/stepgate/stepgate/store/storetest"
)

// BenchmarkPlayers measures what looking up a player and changing one costs at a
// site with a thousand and with a million of them, each with a phone: the record
// is read or written, opened or sealed, and decoded or encoded.
func BenchmarkPlayers(b *testing.B) {
	for _, players := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("store=bolt/players=%d", players), func(b *testing.B) {
			s, err := bolt.Open(filepath.Join(b.TempDir(), "stepgate.db"), bolt.Options{})
			if err != nil {
				b.Fatal(err)
			}
			measurePlayers(b, s, players, nil)
		})
		b.Run(fmt.Sprintf("store=postgres/players=%d", players), func(b *testing.B) {
			server := pgtest.Own(b, pgserver.Options{Durable: true, Settings: settled})
			// One connection, so that the server process behind it has touched all, too.
			s, err := postgres.Open(b.Context(), server.DSN(), postgres.Options{MaxConns: 1, Timeout: time.Minute})
			if err != nil {
				b.Fatal(err)
			}
			measurePlayers(b, s, players, func(b *testing.B) { settle(b, server.DSN()) })
		})
	}
}

// settled are the settings of a server whose memory holds all players, and which
// is not about to begin a checkpoint.
var settled = []string{"shared_buffers=2GB", "max_wal_size=8GB", "checkpoint_timeout=1h"}

// settle brings a filled database to where it is in the middle of a checkpoint
// cycle: vacuumed, and each page written once since the last checkpoint, which the
// server logs as a whole the first time.
func settle(b *testing.B, dsn string) {
	admin, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer admin.Close(context.Background())
	for _, sql := range []string{"VACUUM ANALYZE", "CHECKPOINT", "UPDATE stepgate.records SET revision = revision", "VACUUM ANALYZE"} {
		if _, err := admin.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
}

func measurePlayers(b *testing.B, s store.Mover, players int, settle func(b *testing.B)) {
	b.Cleanup(func() { _ = s.Close() })
	ring, err := seal.NewRing(rand.Reader, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	book := account.NewBook(s, ring, rand.Reader, time.Now)
	b.Cleanup(book.Close)
	keys := make([]store.Key, players)
	ids := make([]account.ID, players)
	for i := range keys {
		ids[i] = book.ID(fmt.Sprintf("player-%d", i))
		keys[i] = store.NewKey("account", string(ids[i]))
	}
	plain := plainAccount(b, ring)
	storetest.Fill(b, s, keys, func(key store.Key) ([]byte, error) { return ring.Seal(rand.Reader, string(key), plain) }, settle)

	random := mathrand.New(mathrand.NewPCG(1, uint64(players)))
	b.Run("lookup", func(b *testing.B) {
		for b.Loop() {
			if a, err := book.Get(b.Context(), ids[random.IntN(players)]); err != nil || !a.Enrolled() {
				b.Fatal(a, err)
			}
		}
	})
	b.Run("update", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			in := account.Interruption{Rules: "withdrawal", Fingerprint: fmt.Sprint(n), ID: fmt.Sprintf("%022d", n), Lifetime: time.Minute}
			if _, err := book.Open(b.Context(), ids[random.IntN(players)], in); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// plainAccount returns the record of a player with a phone, before it is sealed.
func plainAccount(b *testing.B, ring *seal.Ring) []byte {
	s, err := bolt.Open(filepath.Join(b.TempDir(), "one.db"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	book := account.NewBook(s, ring, rand.Reader, time.Now)
	defer book.Close()
	id := book.ID("somebody")
	if _, err := book.BindPhone(b.Context(), id, account.Change{Proof: account.ProofPhone}, phone); err != nil {
		b.Fatal(err)
	}
	key := store.NewKey("account", string(id))
	record, err := s.Get(b.Context(), key)
	if err != nil {
		b.Fatal(err)
	}
	plain, err := ring.Open(string(key), record.Value)
	if err != nil {
		b.Fatal(err)
	}
	return plain
}
