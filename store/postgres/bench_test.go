package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepgate/stepgate/internal/pgserver"
	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/storetest"
)

func BenchmarkSizes(b *testing.B) {
	var server *pgserver.Server
	open := func(b *testing.B) store.Mover {
		server = pgtest.Own(b, pgserver.Options{Durable: true, Settings: []string{"shared_buffers=1GB", "max_wal_size=4GB", "wal_compression=on"}})
		s, err := Open(b.Context(), server.DSN(), Options{Timeout: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	storetest.BenchmarkSizes(b, open, func(b *testing.B) {
		admin, err := pgx.Connect(b.Context(), server.DSN())
		if err != nil {
			b.Fatal(err)
		}
		defer admin.Close(context.Background())
		for _, sql := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
			if _, err := admin.Exec(b.Context(), sql); err != nil {
				b.Fatal(err)
			}
		}
	})
}
