package caddymodule

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
	"github.com/stepgate/stepgate/store/postgres"
	"github.com/stepgate/stepgate/store/storecopy"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:      "store",
		Usage:     "copy|migrate",
		Short:     "Moves what Stepgate keeps to another store, or brings a database up to date",
		Long:      `Commands for the store in which Stepgate keeps enrolments, challenges and its audit log.`,
		CobraFunc: storeCommand,
	})
}

const copyLong = `Copies everything that one store holds to another, empty one, and checks that the
copy is equal. A store is bolt:PATH (bolt alone is the default file) or postgres:ADDRESS,
where the address may be a placeholder, so that no password stands in a command line:

    stepgate store copy --from bolt --to 'postgres:{env.STEPGATE_DSN}'

Stop the gateways first, on the source and on the target. A database is refused while
any session of Stepgate is on it, whatever its schema; a file while it is open.

A copy that was interrupted goes on when the same command is given again. Until it says
that it is finished, no gateway opens the target. What has expired is not copied; audit
entries keep their order and get new numbers. The role must own the target's schema; one
of a gateway is enough for the source. The key ring is not part of a store: gateways need
the same one as before. Let no gateway open the source again: codes and approvals that
have been used since would be good there once more.`

const migrateLong = `Brings the tables of a PostgreSQL store up to date, and makes them in a new database. A
gateway does so when it starts; this is for gateways whose role does not own the schema,
to be run after each update of Stepgate under a role that does.

    stepgate store migrate --to 'postgres:{env.STEPGATE_OWNER_DSN}'`

// databaseTimeout bounds one step of these commands in a database: nobody's request
// waits for it.
const databaseTimeout = time.Minute

func storeCommand(cmd *cobra.Command) {
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }

	var c storeCopy
	var schema string
	move := &cobra.Command{
		Use:   "copy --from <store> --to <store> [--schema <name>] [--from-schema <name>] [--dry-run]",
		Short: "Copies everything from one store to another, and checks it",
		Long:  copyLong, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if c.fromSchema == "" {
				c.fromSchema = c.toSchema
			}
			return interruptible(func(ctx context.Context) error { return c.run(ctx, cmd.OutOrStdout()) })
		},
	}
	move.Flags().StringVar(&c.from, "from", "", "the store to copy: bolt, bolt:PATH or postgres:ADDRESS")
	move.Flags().StringVar(&c.to, "to", "", "the empty store to copy to, in the same form")
	move.Flags().StringVar(&c.toSchema, "schema", "", "the schema in a database (default: "+postgres.DefaultSchema+")")
	move.Flags().StringVar(&c.fromSchema, "from-schema", "", "the source's schema, if it is another")
	move.Flags().BoolVar(&c.dryRun, "dry-run", false, "read the source, look whether the target can be reached and is empty, and write nothing")

	var to string
	migrate := &cobra.Command{
		Use:   "migrate --to postgres:<address> [--schema <name>]",
		Short: "Brings the tables of a PostgreSQL store up to date",
		Long:  migrateLong, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interruptible(func(ctx context.Context) error { return migrateStore(ctx, cmd.OutOrStdout(), to, schema) })
		},
	}
	migrate.Flags().StringVar(&to, "to", "", "the database: postgres:ADDRESS")
	migrate.Flags().StringVar(&schema, "schema", "", "the schema (default: "+postgres.DefaultSchema+")")
	cmd.AddCommand(move, migrate)
}

// noArguments refuses arguments without quoting them: one may be an address with a
// password.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes flags only: see %s --help", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

// interruptible runs f until it ends or somebody ends it.
func interruptible(f func(ctx context.Context) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return f(ctx)
}

// storeAddress is a store as the command line names it.
type storeAddress struct {
	path     string // of a file; empty for a database
	dsn      string
	database postgres.Options
}

// parseStore reads the value of a flag. Its errors quote nothing of an address.
func parseStore(flag, value, schema, session string) (storeAddress, error) {
	kind, rest, given := strings.Cut(value, ":")
	switch {
	case kind == "bolt" && (!given || rest != ""):
		b := &BoltStore{Path: rest}
		if err := b.Provision(caddy.Context{}); err != nil {
			return storeAddress{}, fmt.Errorf("--%s: %w", flag, err)
		}
		return storeAddress{path: b.path}, nil
	case strings.HasPrefix(rest, "//"):
		rest = value // the whole is an address, postgres://…
	case kind != "postgres" || rest == "":
		return storeAddress{}, fmt.Errorf("--%s: write bolt:PATH, bolt for the default file, or postgres:ADDRESS such as 'postgres:{env.STEPGATE_DSN}'", flag)
	}
	dsn, err := caddy.NewReplacer().ReplaceOrErr(rest, true, true)
	if err != nil {
		return storeAddress{}, fmt.Errorf("--%s: a placeholder in the address has no value: write 'postgres:{env.NAME}', in quotes, and set that variable", flag)
	}
	a := storeAddress{dsn: dsn, database: postgres.Options{Schema: schema, Timeout: databaseTimeout, Session: session}}
	if err := postgres.Check(a.dsn, a.database); err != nil {
		return storeAddress{}, fmt.Errorf("--%s: %w", flag, err)
	}
	return a, nil
}

// open opens the store. existing is for one from which is only read, unfinished for the
// target of a copy.
func (a storeAddress) open(ctx context.Context, existing, unfinished bool) (store.Mover, error) {
	if a.path != "" {
		return bolt.Open(a.path, bolt.Options{Existing: existing, Unfinished: unfinished})
	}
	o := a.database
	o.Existing, o.Unfinished = existing, unfinished
	return postgres.Open(ctx, a.dsn, o)
}

// storeCopy is the command line of `stepgate store copy`.
type storeCopy struct {
	from, to             string
	fromSchema, toSchema string
	dryRun               bool
}

// run copies, or looks whether it could.
func (c storeCopy) run(ctx context.Context, out io.Writer) (err error) {
	session := make([]byte, 8)
	_, _ = rand.Read(session) // never fails
	name := "copy " + hex.EncodeToString(session)
	from, err := parseStore("from", c.from, c.fromSchema, name)
	if err != nil {
		return err
	}
	to, err := parseStore("to", c.to, c.toSchema, name)
	if err != nil {
		return err
	}
	if from.path != "" && from.path == to.path {
		return storecopy.ErrSame // its lock would say something less clear
	}
	source, err := from.open(ctx, true, false)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if c.dryRun {
		return dryRun(ctx, out, source, to)
	}
	target, err := to.open(ctx, false, true)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	fmt.Fprintf(out, "copying %s to %s\n", source.Name(), target.Name())
	sum, err := storecopy.Copy(ctx, source, target, storecopy.Options{Progress: printer(out, time.Now)})
	if err != nil {
		return fmt.Errorf("copying: %w", err)
	}
	fmt.Fprintf(out, "finished: %v\nPut the target into the Caddyfile, and let no gateway open the source again.\n", sum)
	return nil
}

// dryRun looks at both stores. A target that has yet to be made is as good as empty.
func dryRun(ctx context.Context, out io.Writer, source store.Mover, to storeAddress) (err error) {
	target, err := to.open(ctx, true, true)
	switch {
	case errors.Is(err, store.ErrNoStore):
		target = nil
		if to.path != "" {
			if err := (&BoltStore{path: to.path}).Validate(); err != nil {
				return fmt.Errorf("target: %w", err)
			}
		}
	case err != nil:
		return fmt.Errorf("target: %w", err)
	default:
		defer func() { err = errors.Join(err, target.Close()) }()
	}
	sum, err := storecopy.Look(ctx, source, target, storecopy.Options{Progress: printer(out, time.Now)})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "would copy: %v\nNothing was written.\n", sum)
	return nil
}

// printEvery is how often a long copy says how far it is.
const printEvery = time.Second

// printer prints progress at each new stage, and from time to time.
func printer(out io.Writer, now func() time.Time) func(storecopy.Progress) {
	var stage storecopy.Stage
	var last time.Time
	return func(p storecopy.Progress) {
		if p.Stage == stage && now().Sub(last) < printEvery {
			return
		}
		if p.Stage != stage && p.Stage == storecopy.Copying && p.Resumed {
			fmt.Fprintln(out, "going on with the copy that was interrupted")
		}
		stage, last = p.Stage, now()
		fmt.Fprintf(out, "%s: %v\n", p.Stage, p.Counts)
	}
}

// migrateStore brings a database up to date.
func migrateStore(ctx context.Context, out io.Writer, to, schema string) error {
	if kind, _, _ := strings.Cut(to, ":"); kind == "bolt" {
		return errors.New("--to: a file has no schema: write postgres:ADDRESS")
	}
	a, err := parseStore("to", to, schema, "")
	if err != nil {
		return err
	}
	version, err := postgres.Migrate(ctx, a.dsn, a.database)
	if err != nil {
		return fmt.Errorf("%w: run this under a role that owns the schema, or may create it", err)
	}
	fmt.Fprintf(out, "the schema is at version %d\n", version)
	return nil
}
