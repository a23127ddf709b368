package caddymodule

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/spf13/cobra"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/stepgate/stepgate/internal/seal"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "keys",
		Usage: "new | list | rotate | retire <id>",
		Short: "Makes, shows and rotates the key ring of the gateway",
		Long: `Makes, shows and rotates the key ring under which the gateway signs its cookies
and seals what it stores. Whoever can read the ring can pass for any player.`,
		CobraFunc: keysCommand,
	})
}

const (
	defaultLead = 10 * time.Minute
	// maxLead keeps a slip of the pen from blocking rotations: while a key waits
	// there is no other.
	maxLead = 7 * 24 * time.Hour
	// rest is how long a key stays after it was current: the longest that a grant
	// may live.
	rest = 24 * time.Hour
)

func keysCommand(cmd *cobra.Command) {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	k := &keysCLI{rand: rand.Reader, now: time.Now, out: os.Stdout, hints: os.Stderr}
	cmd.AddCommand(k.commands()...)
}

// keysCLI is the commands' view of the world.
type keysCLI struct {
	config, adapter string

	rand io.Reader
	now  func() time.Time
	// out gets what was asked for, hints what to do with it.
	out, hints io.Writer
}

func (k *keysCLI) commands() []*cobra.Command {
	create := &cobra.Command{
		Use: "new", Short: "Prints a new key ring", Args: cobra.NoArgs,
		Long: `Prints a new key ring, for "keys file" and "keys env" in the Caddyfile. It goes
with an empty store only: a store remembers its ring, and no account can be found
under another one. Keep it where nobody else can read it:

	(umask 077; stepgate keys new > keys.json)`,
		RunE: func(*cobra.Command, []string) error { return k.create() },
	}
	list := &cobra.Command{
		Use: "list", Short: "Lists the keys of the ring, without their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return k.list(cmd.Context()) },
	}
	var in time.Duration
	rotate := &cobra.Command{
		Use: "rotate", Short: "Adds a key, which becomes current after a while", Args: cobra.NoArgs,
		Long: `Adds a key to the ring where it lies: Caddy's storage, or the file. Every running
gateway reads the ring once a minute; the new key only opens until it is current, so
no player notices. Give at least 2m in Caddy's storage, and more where a file or a
variable has to reach every node: it must be there before the key is current.

A ring in an environment variable cannot be changed: the new document is printed.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return k.rotate(cmd.Context(), in) },
	}
	rotate.Flags().DurationVar(&in, "in", defaultLead, "when the new key becomes current")
	var force bool
	retire := &cobra.Command{
		Use: "retire <id>", Short: "Removes an old key from the ring", Args: cobra.ExactArgs(1),
		Long: `Removes an old key from the ring. Whatever was made under it is lost: cookies and
codes under it are worthless, and records in the store that are sealed under it can
never be opened again. A player whose account is among them cannot pass any
challenge until the account is removed.

An account is sealed under the current key whenever it is written, and not before:
that of a player who has met no challenge since the rotation is still sealed under
the old one. The command does not look into the store, so it refuses to retire any
key without --force. Old keys cost nothing; retire one only if it has leaked, and
keep a copy of the ring.

The current key and one that is still to become current cannot be retired.`,
		RunE: func(cmd *cobra.Command, args []string) error { return k.retire(cmd.Context(), args[0], force) },
	}
	retire.Flags().BoolVar(&force, "force", false, "retire it although records may be lost, and although it was current less than 24 h ago")
	for _, c := range []*cobra.Command{list, rotate, retire} {
		c.Flags().StringVarP(&k.config, "config", "c", "", "the gateway's configuration, such as Caddyfile (required)")
		c.Flags().StringVarP(&k.adapter, "adapter", "a", "", "name of the adapter of the configuration")
		_ = c.MarkFlagRequired("config") // fails for a flag that does not exist
	}
	return []*cobra.Command{create, list, rotate, retire}
}

func (k *keysCLI) create() error {
	ring, err := seal.NewRing(k.rand, k.now())
	if err != nil {
		return err
	}
	return k.print(ring.Marshal())
}

func (k *keysCLI) print(doc []byte) error {
	if _, err := fmt.Fprintf(k.out, "%s\n", doc); err != nil {
		return fmt.Errorf("printing key ring: %w", err)
	}
	return nil
}

func (k *keysCLI) list(ctx context.Context) error {
	return k.with(ctx, func(ctx context.Context, keys keyring) error {
		ring, err := keys.load(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(k.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "ID\tCREATED\tFROM\t") // Flush has the error
		now := k.now()
		for _, key := range ring.Keys(now) {
			state := "only opens"
			switch {
			case key.Current:
				state = "current"
			case key.From.After(now):
				state = "only opens yet"
			}
			_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", key.ID, key.Created.Format(time.RFC3339), key.From.Format(time.RFC3339), state)
		}
		if err := table.Flush(); err != nil {
			return fmt.Errorf("printing keys: %w", err)
		}
		return nil
	})
}

func (k *keysCLI) rotate(ctx context.Context, in time.Duration) error {
	return k.with(ctx, func(ctx context.Context, keys keyring) error {
		_, shared := keys.place.(storagePlace)
		switch {
		case in < 0 || in > maxLead:
			return fmt.Errorf("--in %s: write from 0s to %s", in, maxLead)
		case shared && in < minLead:
			return fmt.Errorf("--in %s: the gateways read the ring once a minute, and all must know the key before one uses it: write %s or more", in, minLead)
		}
		var from time.Time
		changed, err := k.change(ctx, keys, func(ring *seal.Ring) (*seal.Ring, error) {
			now := k.now()
			from = now.Add(in).UTC()
			return ring.Rotate(k.rand, now, from)
		})
		if err != nil {
			return err
		}
		return k.hint("Key %d becomes current at %s. Until then it only opens.\n", changed.IDs()[0], from.Format(time.RFC3339))
	})
}

func (k *keysCLI) retire(ctx context.Context, arg string, force bool) error {
	n, err := strconv.ParseUint(arg, 10, 32)
	if err != nil {
		return fmt.Errorf("%q is no id of a key: write a number that stepgate keys list shows", arg)
	}
	id, wait := seal.KeyID(n), rest
	if force {
		wait = 0
	}
	return k.with(ctx, func(ctx context.Context, keys keyring) error {
		_, err := k.change(ctx, keys, func(ring *seal.Ring) (*seal.Ring, error) {
			next, err := ring.Retire(id, k.now(), wait)
			switch {
			case errors.Is(err, seal.ErrJustUsed):
				return nil, fmt.Errorf("%w: its cookies may still be in use: wait until a day after the rotation, or add --force", err)
			case errors.Is(err, seal.ErrInUse):
				return nil, fmt.Errorf("%w: rotate first, and retire it when the new key is current", err)
			case err != nil:
				return nil, err
			case !force:
				return nil, fmt.Errorf("retiring key %d: accounts may still be sealed under it, and could never be opened again: "+
					"leave it in the ring, where it only opens, or add --force if it has leaked", id)
			}
			return next, nil
		})
		if err != nil {
			return err
		}
		return k.hint("Key %d is out of the ring. What was made under it is worthless, and cannot be opened.\n", id)
	})
}

// change changes the ring where it lies, or prints what it becomes where that
// cannot be done.
func (k *keysCLI) change(ctx context.Context, keys keyring, next func(*seal.Ring) (*seal.Ring, error)) (*seal.Ring, error) {
	var changed *seal.Ring
	document := func(doc []byte) ([]byte, error) {
		ring, err := keys.parse(doc)
		if err != nil {
			return nil, err
		}
		if changed, err = next(ring); err != nil {
			return nil, err
		}
		return changed.Marshal(), nil
	}
	if keeper, ok := keys.place.(ringKeeper); ok {
		if err := keeper.change(ctx, document); err != nil {
			return nil, err
		}
		return changed, k.hint("%s was changed. Every running gateway that has it reads it within a minute.\n", keys.place)
	}
	doc, err := keys.place.load(ctx)
	if err != nil {
		return nil, err
	}
	if doc, err = document(doc); err != nil {
		return nil, err
	}
	if err := k.print(doc); err != nil {
		return nil, err
	}
	return changed, k.hint("Nothing was changed. Put this document into the %s of every gateway and restart them one after another.\n", keys.place)
}

func (k *keysCLI) hint(format string, args ...any) error {
	if _, err := fmt.Fprintf(k.hints, format, args...); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// with calls do with the key ring that a configuration means. Nothing else of the
// configuration is loaded: the gateway may be running, and has the store locked.
func (k *keysCLI) with(ctx context.Context, do func(context.Context, keyring) error) error {
	raw, _, _, err := caddycmd.LoadConfig(k.config, k.adapter)
	if err != nil {
		return err
	}
	var c struct {
		StorageRaw json.RawMessage `json:"storage,omitempty" caddy:"namespace=caddy.storage inline_key=module"`
		Apps       struct {
			Stepgate *struct {
				Keys json.RawMessage `json:"keys"`
			} `json:"stepgate"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return fmt.Errorf("reading %s: %w", k.config, err)
	}
	if c.Apps.Stepgate == nil {
		return fmt.Errorf("%s has no stepgate block: name the gateway's own configuration", k.config)
	}
	var where *Keys
	if c.Apps.Stepgate.Keys != nil {
		if err := caddy.StrictUnmarshalJSON(c.Apps.Stepgate.Keys, &where); err != nil {
			return fmt.Errorf("reading keys of %s: %w", k.config, err)
		}
	}
	if ctx == nil {
		ctx = context.Background() // a command that was run without one
	}
	loaded, cancel := caddy.NewContext(caddy.Context{Context: ctx})
	defer cancel()
	var storage certmagic.Storage = caddy.DefaultStorage
	if c.StorageRaw != nil {
		module, err := loaded.LoadModule(&c, "StorageRaw")
		if err != nil {
			return fmt.Errorf("loading storage: %w", err)
		}
		converter, ok := module.(caddy.StorageConverter)
		if !ok {
			return fmt.Errorf("module of type %T is no storage", module)
		}
		if storage, err = converter.CertMagicStorage(); err != nil {
			return fmt.Errorf("loading storage: %w", err)
		}
	}
	place, err := where.place(storage)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(loaded, openTimeout)
	defer stop()
	return do(ctx, keyring{place: place, rand: k.rand, now: k.now})
}
