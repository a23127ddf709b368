package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/postgres"
)

func init() { caddy.RegisterModule(new(PostgresStore)) }

// PostgresStore keeps everything in a PostgreSQL database (14 or newer): the store
// of several gateways in front of one site.
//
// The gateways share the database and the key ring, and nothing else: a challenge
// that one of them opened is answered at any other. A factor that is removed at one
// ends the grants at the others within two seconds at the worst.
//
// The database's role must own the schema, or be granted USAGE on it, SELECT, INSERT,
// UPDATE and DELETE on its tables records and counters, SELECT and INSERT on audit, and
// SELECT on migrations and settings; then run `stepgate store migrate` under the owner's
// role first, and after each update.
//
// `stepgate store copy` moves what another store holds here, or from here elsewhere. A
// schema into which a copy is not finished is not opened.
type PostgresStore struct {
	// The address of the database, a URL such as
	// `postgres://stepgate@db.example/stepgate`, or libpq's words. It may hold a
	// password: write it as a placeholder such as `{env.STEPGATE_DSN}`. Several hosts
	// and `target_session_attrs=read-write` follow a failover. Required.
	DSN string `json:"dsn,omitempty"`
	// The schema that holds everything. Default: `stepgate`.
	Schema string `json:"schema,omitempty"`
	// How many connections the calls of this gateway share; one more listens.
	// Default: 16.
	Pool int `json:"pool,omitempty"`
	// How long one call of the database may take. A protected request makes several,
	// one after the other, and is answered 503 as soon as one fails. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	dsn    string
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*PostgresStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: storeNamespace + ".postgres", New: func() caddy.Module { return new(PostgresStore) }}
}

// Provision finds out which database is meant. It does not connect.
func (p *PostgresStore) Provision(ctx caddy.Context) error {
	p.logger = ctx.Logger()
	var err error
	if p.dsn, err = caddy.NewReplacer().ReplaceOrErr(p.DSN, true, true); err != nil {
		return fmt.Errorf("reading address of the database: %w", err)
	}
	return nil
}

// Validate reports what is wrong with the settings. It quotes no address, which may
// hold a password.
func (p *PostgresStore) Validate() error {
	if p.dsn == "" {
		return errors.New("store postgres has no address: write one such as {env.STEPGATE_DSN}, and set that variable")
	}
	return postgres.Check(p.dsn, p.options())
}

func (p *PostgresStore) options() postgres.Options {
	return postgres.Options{Schema: p.Schema, MaxConns: p.Pool, Timeout: time.Duration(p.Timeout)}
}

// Key names the database by a hash: the address may hold a password.
func (p *PostgresStore) Key() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d", p.dsn, p.Schema, p.Pool, p.Timeout))
	return hex.EncodeToString(sum[:16])
}

// mostSkew is how far clocks may be apart before an operator is told: a step of TOTP
// has thirty seconds, and an SMS code five minutes.
const mostSkew = 2 * time.Second

// Open connects to the database.
func (p *PostgresStore) Open() (store.Store, error) {
	s, err := postgres.Open(context.Background(), p.dsn, p.options())
	if err != nil {
		return nil, err
	}
	if skew, err := s.ClockSkew(context.Background()); err == nil && skew.Abs() > mostSkew {
		p.logger.Warn("this machine's clock is not the database's: codes and holds end at different times on different gateways; "+
			"synchronise the clocks", zap.Duration("ahead_by", skew))
	}
	return s, nil
}

// UnmarshalCaddyfile sets up the store from Caddyfile tokens:
//
//	store postgres <address> {
//		schema  <name>
//		pool    <connections>
//		timeout <duration>
//	}
func (p *PostgresStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	var err error
	if p.DSN, err = argument(d, "the address of the database, such as {env.STEPGATE_DSN}"); err != nil {
		return err
	}
	if !strings.Contains(p.DSN, "{") { // a placeholder is known when the configuration is loaded
		if err := postgres.Check(p.DSN, postgres.Options{}); err != nil {
			return d.WrapErr(err)
		}
	}
	return parseBlock(d, "store postgres", []option{
		{name: "schema", parse: p.parseSchema},
		{name: "pool", parse: p.parsePool},
		duration("timeout", "5s", &p.Timeout),
	})
}

func (p *PostgresStore) parseSchema(d *caddyfile.Dispenser) error {
	var err error
	if p.Schema, err = argument(d, "the name of a schema, such as stepgate"); err != nil {
		return err
	}
	if err := postgres.Check("", postgres.Options{Schema: p.Schema}); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (p *PostgresStore) parsePool(d *caddyfile.Dispenser) error {
	value, err := argument(d, "how many connections calls share, such as 16")
	if err != nil {
		return err
	}
	if p.Pool, err = strconv.Atoi(value); err != nil || p.Pool < 1 {
		return d.Errf("pool is %q: write a number of connections, such as 16", value)
	}
	return nil
}

var (
	_ caddy.Provisioner     = (*PostgresStore)(nil)
	_ caddy.Validator       = (*PostgresStore)(nil)
	_ caddyfile.Unmarshaler = (*PostgresStore)(nil)
	_ StoreOpener           = (*PostgresStore)(nil)
)
