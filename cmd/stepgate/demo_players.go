package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/pquerna/otp/totp"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/alias"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store/bolt"
)

// player is one of examples/casino, as the site knows them.
type player struct {
	login, subject string
	phone          sms.Number
}

var (
	budi = player{login: "budi", subject: "u-1001", phone: "+6281234567890"}
	sari = player{login: "sari", subject: "u-1002", phone: "+6281298765432"}
	agus = player{login: "agus", subject: "u-1003", phone: "+628111222333"}
	dewi = player{login: "dewi", subject: "u-1004"}
)

// Where the gateway's state lies in the demo's folder.
func storePath(folder string) string   { return filepath.Join(folder, "stepgate.db") }
func storagePath(folder string) string { return filepath.Join(folder, "storage") }

// enrolPlayers gives budi and sari their second factors, through the same code as
// the settings page, before the gateway opens the store. Who has had one already
// is left alone, whatever became of it. It also tells the gateway whose names are
// whose, as it would learn from their sessions, for a password reset. It returns the
// secret of sari's authenticator, nil if she has none any more.
func enrolPlayers(ctx context.Context, folder string, now func() time.Time) (secret []byte, err error) {
	ring, err := openRing(ctx, folder, now())
	if err != nil {
		return nil, err
	}
	s, err := bolt.Open(storePath(folder), bolt.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	// Yesterday, because an authenticator's code works once: the one that confirms
	// the set-up now would be missing when the player is asked a moment later.
	yesterday := now().Add(-24 * time.Hour)
	book := account.NewBook(s, ring, rand.Reader, func() time.Time { return yesterday })
	defer book.Close()
	if err := enrol(ctx, book, budi, bindPhone); err != nil {
		return nil, err
	}
	if err := enrol(ctx, book, sari, bindAuthenticator); err != nil {
		return nil, err
	}
	names := alias.NewBook(s, ring, rand.Reader)
	defer names.Close()
	for _, p := range []player{budi, sari, agus, dewi} {
		n := alias.Names{Login: p.login, Email: p.login + "@example.com", Phone: p.phone.E164()}
		if err := names.Learn(ctx, p.subject, n); err != nil {
			return nil, err
		}
	}
	a, err := book.Get(ctx, book.ID(sari.subject))
	if err != nil {
		return nil, err
	}
	if e := a.Enrolment(policy.TOTP); e != nil {
		secret = e.Secret
	}
	return secret, nil
}

// enrol binds a player's factor if the account has never had one: each binding
// begins a new epoch.
func enrol(ctx context.Context, book *account.Book, p player, bind func(context.Context, *account.Book, player, account.Change) error) error {
	a, err := book.Get(ctx, book.ID(p.subject))
	if err != nil || a.Epoch > 0 {
		return err
	}
	err = bind(ctx, book, p, account.Change{Binding: "demo", Browser: "demo", Proof: account.ProofPhone, Epoch: a.Epoch})
	if err != nil {
		return fmt.Errorf("enrolling %s: %w", p.login, err)
	}
	return nil
}

func bindPhone(ctx context.Context, book *account.Book, p player, c account.Change) error {
	_, err := book.BindPhone(ctx, book.ID(p.subject), c, p.phone)
	return err
}

func bindAuthenticator(ctx context.Context, book *account.Book, p player, c account.Change) error {
	id := book.ID(p.subject)
	setup, err := book.BeginTOTP(ctx, id, c)
	if err != nil {
		return err
	}
	code, err := totp.GenerateCode(factor.TOTPSecretText(setup.Secret), setup.Expires.Add(-account.SetupLifetime))
	if err != nil {
		return fmt.Errorf("computing the first code: %w", err)
	}
	confirmed, err := book.Confirm(ctx, id, c, setup.ID, code, "")
	if err != nil {
		return err
	}
	if confirmed.Verdict != account.Right {
		return errors.New("the first code was not accepted")
	}
	return nil
}

// ringName is where the gateway looks for its key ring in Caddy's storage.
const ringName = "stepgate/keys.json"

// openRing reads the key ring from the storage that the gateway will use, or makes
// it there. It is made before the store is: a store without its ring lost it.
func openRing(ctx context.Context, folder string, now time.Time) (*seal.Ring, error) {
	storage := &certmagic.FileStorage{Path: storagePath(folder)}
	doc, err := storage.Load(ctx, ringName)
	if err == nil {
		return seal.ParseRing(doc)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading key ring: %w", err)
	}
	if _, err := os.Lstat(storePath(folder)); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has a store but no key ring for it: name an empty folder", folder)
	}
	ring, err := seal.NewRing(rand.Reader, now)
	if err != nil {
		return nil, err
	}
	if err := storage.Store(ctx, ringName, ring.Marshal()); err != nil {
		return nil, fmt.Errorf("writing key ring: %w", err)
	}
	return ring, nil
}
