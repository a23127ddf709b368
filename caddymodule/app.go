package caddymodule

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/notify"
)

func init() {
	caddy.RegisterModule(new(App))
	httpcaddyfile.RegisterGlobalOption(appName, parseApp)
}

const (
	appName = "stepgate"

	storeNamespace    = "stepgate.stores"
	senderNamespace   = "stepgate.senders"
	identityNamespace = "stepgate.identity"

	defaultStore = "bolt"

	// openTimeout bounds the reading and making of the key ring. Caddy's file
	// storage takes up to ten seconds to see that a lock was left by a crash.
	openTimeout = 30 * time.Second
)

// App holds what all `step_up` handlers of a configuration share: the store, the
// key ring, the way SMS codes are sent, and the look of the pages.
//
// The key ring lies in Caddy's storage under `stepgate/keys.json` and is made at
// the first start, or it lies where `keys` says. Whoever can read it can pass for
// any player; whoever loses it loses every enrolment. A store remembers its key
// ring, and a gateway whose ring is another one, or is gone, does not start. Several
// gateways over one store need the same ring.
type App struct {
	// Where accounts, challenges and the audit log are kept. Default: `bolt`, one
	// file in Caddy's data folder.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=stepgate.stores inline_key=module"`

	// Where the key ring lies. Default: in Caddy's storage, where the first start
	// makes it.
	Keys *Keys `json:"keys,omitempty"`

	// How SMS codes are sent. Default: not at all; SMS is then no factor.
	SMS *SMS `json:"sms,omitempty"`

	// Where the site is told of changes to a player's factors, for its own e-mail.
	// Default: nowhere; players learn of them by SMS and on pages only.
	Notify *Notify `json:"notify,omitempty"`

	// Whose pages players see. Required.
	Brand *Brand `json:"brand,omitempty"`

	// How a player gets a first factor for whom the site knows no phone. Default: at
	// once, and protected routes stay closed for 24h.
	FirstEnrolment *FirstEnrolment `json:"first_enrolment,omitempty"`

	// Accept the authenticator code of the present 30 seconds only. Default: also
	// that of the step before and after, because phones' clocks are wrong by
	// seconds (OWASP ASVS 6.5.5 asks for the strict reading).
	StrictTOTP bool `json:"strict_totp,omitempty"`

	store   StoreOpener
	storeID string
	courier *courier.Courier
	pages   *challengepages.Renderer

	firstEnrolment gate.FirstEnrolment
	webhook        *notify.Webhook

	// sites are what the links of notices begin with, for each site.
	sites []string
	// servers are those that a step_up stands in.
	servers []*caddyhttp.Server

	ctx     caddy.Context
	keys    ringPlace
	logger  *zap.Logger
	audit   *zap.Logger
	backing backing
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: appName, New: func() caddy.Module { return new(App) }}
}

// Provision reads the configuration. It opens nothing.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	a.logger = ctx.Logger()
	a.audit = a.logger.Named("audit")
	a.backing.open = a.openBackend
	if err := registerMetrics(ctx.GetMetricsRegistry()); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	var err error
	if a.firstEnrolment, err = a.FirstEnrolment.config(); err != nil {
		return err
	}
	if err := a.loadStore(ctx); err != nil {
		return fmt.Errorf("loading store: %w", err)
	}
	place, err := a.Keys.place(ctx.Storage())
	if err != nil {
		return fmt.Errorf("loading keys: %w", err)
	}
	a.keys = place
	if a.SMS != nil {
		if a.courier, err = a.SMS.load(ctx, a.providerEvent); err != nil {
			return fmt.Errorf("loading sms: %w", err)
		}
		if a.SMS.Mode == ModeReport {
			a.logger.Warn("REPORT MODE: no limit and no budget bounds what SMS cost; they only log and count what they would refuse")
		}
		if risky := a.SMS.risky(); len(risky) > 0 {
			a.logger.Warn("numbers that prove no phone, or cost a multiple, get codes", zap.Strings("numbers", risky))
		}
	}
	if a.Notify != nil {
		if a.webhook, err = a.Notify.webhook(); err != nil {
			return fmt.Errorf("loading notify: %w", err)
		}
	}
	if a.Brand == nil {
		return errors.New(`no brand is configured: give the site's name as players know it, such as brand "Example Casino"`)
	}
	brand, err := a.Brand.load()
	if err != nil {
		return fmt.Errorf("loading brand: %w", err)
	}
	if a.SMS != nil {
		brand.OriginLine = a.SMS.bindsOrigin
	}
	if a.pages, err = challengepages.New(brand); err != nil {
		if a.Brand.Pages != "" {
			return fmt.Errorf("loading brand with the pages in %s: %w", a.Brand.Pages, err)
		}
		return fmt.Errorf("loading brand: %w", err)
	}
	return nil
}

func (a *App) loadStore(ctx caddy.Context) error {
	load := func() (any, error) { return ctx.LoadModule(a, "StoreRaw") }
	if a.StoreRaw == nil {
		load = func() (any, error) { return ctx.LoadModuleByID(storeNamespace+"."+defaultStore, nil) }
	}
	mod, err := load()
	if err != nil {
		return err
	}
	opener, ok := mod.(StoreOpener)
	if !ok {
		return fmt.Errorf("module of type %T is no store", mod)
	}
	a.store = opener
	a.storeID = caddy.GetModuleID(mod) + ":" + opener.Key()
	return nil
}

// meetSite learns from a step_up what the links of its notices begin with; empty where
// that is not known. Handlers are provisioned one after the other.
func (a *App) meetSite(noticeURL string) {
	if !slices.Contains(a.sites, noticeURL) {
		a.sites = append(a.sites, noticeURL)
	}
}

// noticeURL is what the links of support's notices begin with: that of the one site
// there is. Which of several a player belongs to nobody knows.
func (a *App) noticeURL() string {
	if len(a.sites) != 1 {
		return ""
	}
	return a.sites[0]
}

// Start opens the store and the key ring. Its error aborts the load of the
// configuration, and the one before goes on.
func (a *App) Start() error { return a.backing.start() }

// Stop does nothing: requests may still be under way, and need the store.
func (a *App) Stop() error { return nil }

// Cleanup lets go of the store, if it was opened.
func (a *App) Cleanup() error {
	a.backing.close()
	return nil
}

// backend is what the gate calls for each protected request.
func (a *App) backend(context.Context) (*gate.Backend, error) { return a.backing.get() }

// openBackend opens everything that a gate keeps its state in. The returned
// function lets go of it.
func (a *App) openBackend() (*gate.Backend, func(), error) {
	ctx, cancel := context.WithTimeout(a.ctx, openTimeout)
	defer cancel()
	s, release, err := acquireStore(a.storeID, a.store)
	if err != nil {
		return nil, nil, a.openFailed(err)
	}
	keys := keyring{place: a.keys, rand: rand.Reader, now: time.Now}
	ring, err := keys.open(ctx, s)
	if err != nil {
		release()
		return nil, nil, a.openFailed(err)
	}
	b, err := gate.NewBackend(s, ring, rand.Reader, time.Now)
	if err != nil {
		release()
		return nil, nil, a.openFailed(fmt.Errorf("preparing key ring: %w", err))
	}
	stop := keys.startFollowing(ring, a.logger)
	return b, func() { stop(); b.Close(); release() }, nil
}

func (a *App) openFailed(err error) error {
	a.logger.Error("protected requests are answered 503: store or key ring cannot be opened", zap.Error(err))
	return err
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
