// Package postgres keeps Stepgate's records in a PostgreSQL database (14 or newer):
// the store of several gateways. It is an implementation of [store.Store] on pgx.
//
// # What it promises
//
// Everything that package store promises, for all gateways on one database at once.
// An update reads the record, computes what is next in this process, and writes it
// in one statement that succeeds only if the record is still the one that was read
// (every write draws a revision of its own). So no lock and no transaction is ever
// open while a gateway computes, and one that is stopped, cut off or killed in the
// middle of an update holds nobody up. Updates of one record that meet in one
// process queue there; those of several processes try again.
//
// Durability is the server's: leave synchronous_commit and fsync on. With a standby,
// an acknowledged write survives a failover only if replication is synchronous
// (invariant I7).
//
// # Changes in other processes
//
// Announced writes reach the watches of other processes by NOTIFY. Each store
// listens on a connection of its own, and proves every half second that it hears:
// it notifies itself, and hears everything that was announced before that. A watch
// is current for [Lease] from the sending of the last such proof, so this is how
// late a process can be in seeing another's revocation, at worst: cut off, stopped,
// or slow. It is some milliseconds otherwise.
//
// # When the database fails
//
// Every call ends within [Options.Timeout], waiting for a connection included, with an
// error; nothing is assumed. A connection that has failed, or that leads to a server
// which has become read-only, is closed with all idle ones. What only reads is then
// asked again over a new one. What writes is looked up once the lost session is over,
// and written again only if it certainly was not. No restart is needed after the
// database's. Name several hosts and target_session_attrs=read-write in the address to
// follow a failover.
//
// # Clocks
//
// Expiry goes by each gateway's own clock, so a record lives longer or shorter on
// two gateways by as much as their clocks differ. No gateway deletes what the
// database's clock does not also call expired. Keep clocks synchronised: TOTP needs
// it too. [Store.ClockSkew] tells how far off one is.
//
// # Moving
//
// A schema bears a mark while a copy is made into it ([store.Mover]), and is opened for
// no gateway meanwhile. Copies find gateways by the names of their sessions
// (application_name), which begin with "stepgate" whatever the address says. Only a
// role that owns the schema can set or lift the mark.
//
// # Caveats
//
// A connection pooler between must give each session a server connection of its
// own, under the name that the session gives itself: LISTEN and prepared statements
// need the one, copies the other.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/internal/calls"
	"github.com/stepgate/stepgate/store/internal/watch"
)

// The defaults of Options.
const (
	DefaultSchema   = "stepgate"
	DefaultMaxConns = 16
	DefaultTimeout  = 5 * time.Second
)

// Options are the settings of a [Store]. The zero value is what a gateway wants.
type Options struct {
	// Schema is the name of the database schema that holds everything: up to 50
	// small letters, digits and "_". Default: [DefaultSchema].
	Schema string
	// MaxConns bounds the connections that calls share; one more listens. Default:
	// [DefaultMaxConns].
	MaxConns int
	// Timeout bounds every call, waiting for a connection included, and every
	// statement on the server. Default: [DefaultTimeout].
	Timeout time.Duration
	// Now is the clock that expiry, counter windows and leases go by. Nil means
	// time.Now.
	Now func() time.Time
	// Existing opens a schema that is there and up to date, and writes nothing: one
	// that is not there is [store.ErrNoStore].
	Existing bool
	// Unfinished opens also a schema into which a copy is not finished. It is for who
	// goes on with that copy, and never for a gateway.
	Unfinished bool
	// Session names the sessions of one copy at the server, as "stepgate copy 7f3a…",
	// so that [Store.Alone] can tell them from those of others: a copy may have two
	// stores in one database. Empty for a gateway. Up to 40 bytes.
	Session string
}

// keepAlive is how often the operating system asks whether the database's machine is
// still there.
const keepAlive = 30 * time.Second

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,49}$`)

func (o *Options) defaults() error {
	if o.Schema == "" {
		o.Schema = DefaultSchema
	}
	if !schemaName.MatchString(o.Schema) || strings.HasPrefix(o.Schema, "pg_") {
		return fmt.Errorf("schema %q: want up to 50 small letters, digits and _, not beginning with a digit or pg_", o.Schema)
	}
	if o.MaxConns == 0 {
		o.MaxConns = DefaultMaxConns
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxConns < 1 || o.Timeout < 0 {
		return fmt.Errorf("%d connections and a timeout of %v: want more than none", o.MaxConns, o.Timeout)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Check reports what is wrong with an address and options, without connecting. An
// empty address is one that is not known yet.
func Check(dsn string, o Options) error {
	if err := o.defaults(); err != nil {
		return err
	}
	if dsn == "" {
		return nil
	}
	_, err := configure(dsn, o)
	return err
}

// Store is a [store.Store] in one schema of a database.
type Store struct {
	pool    *pgxpool.Pool
	sql     statements
	schema  string
	session string
	now     func() time.Time
	timeout time.Duration
	queues  queues
	recent  *recent

	calls    calls.Calls
	watches  watch.Set
	listener *listener
}

// Open connects to the database at dsn, a URL or a list of words as libpq takes
// them, and brings the schema up to date. It fails if the database cannot be
// reached within the timeout, was written by a newer Stepgate, or holds a copy that
// is not finished ([store.ErrUnfinished]). Its errors never hold a password.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	if err := o.defaults(); err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	config, err := configure(dsn, o)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", plain(err))
	}
	if err := prepare(ctx, pool, o); err != nil {
		pool.Close()
		return nil, fmt.Errorf("opening store: %w", plain(err))
	}
	s := &Store{
		pool: pool, sql: newStatements(o.Schema), schema: o.Schema, session: o.Session,
		now: o.Now, timeout: o.Timeout, queues: newQueues(), recent: newRecent(),
	}
	s.listener = listen(config.ConnConfig, o, s.watches.Notify)
	s.watches.Current = s.listener.current
	return s, nil
}

// prepare brings the schema into the state that o asks for, or refuses it. A session
// is open by then, so a copy that begins at the same time sees it, or has set the
// mark that is found here.
func prepare(ctx context.Context, pool *pgxpool.Pool, o Options) error {
	var err error
	if o.Existing {
		err = checkThere(ctx, pool, o.Schema)
	} else {
		err = migrate(ctx, pool, o.Schema)
	}
	if err != nil || o.Unfinished {
		return err
	}
	return checkFinished(ctx, pool, o.Schema)
}

// Migrate brings the schema up to date and returns its version. It is for a role that
// owns the schema, where gateways run as one that does not.
func Migrate(ctx context.Context, dsn string, o Options) (version int, err error) {
	if err := o.defaults(); err != nil {
		return 0, fmt.Errorf("migrating store: %w", err)
	}
	config, err := configure(dsn, o)
	if err != nil {
		return 0, fmt.Errorf("migrating store: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return 0, fmt.Errorf("migrating store: %w", plain(err))
	}
	defer pool.Close()
	if err := migrate(ctx, pool, o.Schema); err != nil {
		return 0, fmt.Errorf("migrating store: %w", plain(err))
	}
	return newest, nil
}

// ErrAddress says that an address is none. It quotes nothing: an address may hold a
// password.
var ErrAddress = errors.New("the address of the database cannot be read: want one such as postgres://stepgate@db.example/stepgate")

// configure turns an address into the settings of connections.
func configure(dsn string, o Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, ErrAddress
	}
	config.MaxConns = int32(min(o.MaxConns, 1<<15))
	config.MinConns = 0
	config.MaxConnIdleTime = 5 * time.Minute
	config.HealthCheckPeriod = 15 * time.Second
	config.ConnConfig.ConnectTimeout = o.Timeout
	// The pool counts a connection that was given up on until pgx has taken leave of
	// the server, for up to fifteen seconds. If the network has forgotten the
	// connections, all of the pool's places would be taken by such leave-taking.
	config.ConnConfig.DialFunc = (&net.Dialer{Timeout: o.Timeout, KeepAlive: keepAlive}).DialContext
	config.BeforeClose = func(c *pgx.Conn) {
		if c.IsClosed() {
			_ = c.PgConn().Conn().Close()
		}
	}
	params := config.ConnConfig.RuntimeParams
	params["application_name"] = sessionName(params["application_name"], o.Session)
	// The server ends what a gateway no longer waits for.
	ms := fmt.Sprint(o.Timeout.Milliseconds())
	params["statement_timeout"] = ms
	params["lock_timeout"] = ms
	params["idle_in_transaction_session_timeout"] = ms
	return config, nil
}

// Close waits for running calls and closes all connections. Later calls, of Close
// too, return [store.ErrClosed].
func (s *Store) Close() error {
	if err := s.calls.Close(); err != nil {
		return err
	}
	s.listener.close()
	s.pool.Close()
	return nil
}

// Watch implements [store.Store]. A write of another process is heard of within
// [Lease], or the watch is not current.
func (s *Store) Watch(prefix string, changed func(store.Key)) store.Watch {
	return s.watches.Add(prefix, changed)
}

// ClockSkew returns how far this machine's clock is ahead of the database's, give
// or take the time of one question.
func (s *Store) ClockSkew(ctx context.Context) (time.Duration, error) {
	var skew time.Duration
	err := s.call(ctx, "comparing clocks", func(ctx context.Context) error {
		var theirs time.Time
		before := s.now()
		if err := s.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs); err != nil {
			return err
		}
		after := s.now()
		skew = before.Add(after.Sub(before) / 2).Sub(theirs)
		return nil
	})
	return skew, err
}

var _ store.Store = (*Store)(nil)
