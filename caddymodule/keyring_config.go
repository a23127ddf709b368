package caddymodule

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/caddyserver/certmagic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Keys says where the key ring lies, for gateways that share one store and no
// storage of Caddy's, or that get their secrets from elsewhere. One of its fields
// must be set. A start never makes a ring there: a second ring beside an old store
// would be a gateway that finds no account. `stepgate keys new` prints one.
//
// Whoever can read the ring can pass for any player. A gateway reads it again every
// minute, and takes a ring over that is a later state of the one it has.
type Keys struct {
	// The file that the ring lies in. It must exist, only its owner may have access
	// (mode 0600), and it must not be a link. Placeholders such as {env.HOME} are
	// replaced when the configuration is loaded. Default: none.
	File string `json:"file,omitempty"`

	// The name of the environment variable that holds the ring. Other processes of
	// the same user can read it, and it reaches every program that the gateway's
	// process starts, so a file is the safer place. It changes only with a restart.
	// Default: none.
	Env string `json:"env,omitempty"`
}

// envName is what an environment variable may be called. It keeps a key ring that
// was put in the place of its name out of the configuration and of errors.
var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)

var errEnvName = errors.New("keys env needs the name of an environment variable, such as STEPGATE_KEYS, and not what is in it: write env STEPGATE_KEYS")

// check reports what is wrong with the configuration, or nil.
func (k *Keys) check() error {
	switch {
	case k.File == "" && k.Env == "":
		return errors.New("keys needs a file or an env: name one, or leave keys out for Caddy's storage")
	case k.File != "" && k.Env != "":
		return errors.New("keys has a file and an env: name one of them")
	case k.Env != "" && !envName.MatchString(k.Env):
		return errEnvName
	}
	return nil
}

// place returns where the ring lies; a nil k means Caddy's storage.
func (k *Keys) place(storage certmagic.Storage) (ringPlace, error) {
	if k == nil {
		return storagePlace{storage}, nil
	}
	if err := k.check(); err != nil {
		return nil, err
	}
	if k.Env != "" {
		return envPlace(k.Env), nil
	}
	path, err := caddy.NewReplacer().ReplaceOrErr(k.File, true, true)
	if err != nil {
		return nil, fmt.Errorf("reading path of the key ring: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("resolving path of the key ring: %w", err)
	}
	return filePlace(path), nil
}

// parseKeys reads where the key ring lies:
//
//	keys file <path>
//	keys env <name>
func (a *App) parseKeys(d *caddyfile.Dispenser) error {
	const want = "file and a path, such as keys file /etc/stepgate/keys.json, or env and a name, such as keys env STEPGATE_KEYS"
	word, err := argument(d, want)
	if err != nil {
		return err
	}
	k := new(Keys)
	a.Keys = k
	switch word {
	case "file":
		k.File, err = argument(d, "the path of the key ring, such as /etc/stepgate/keys.json")
	case "env":
		k.Env, err = argument(d, "the name of an environment variable, such as STEPGATE_KEYS")
	default:
		// The word is not repeated: it may be a key ring.
		return d.Errf("keys needs %s", want)
	}
	if err != nil {
		return err
	}
	if err := k.check(); err != nil {
		return d.WrapErr(err)
	}
	if d.CountRemainingArgs() > 0 {
		return d.Errf("something follows keys %s: write one word only, in quotes if it has spaces", word)
	}
	return nil
}
