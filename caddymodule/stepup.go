package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/policy"
)

func init() { caddy.RegisterModule(new(StepUp)) }

// StepUp holds sensitive requests to a site behind a second factor. It must see
// every request of the site, and stand before what hands them on; in a Caddyfile
// it stands right after `forward_auth` by itself.
//
// It takes its own cookies and every `Step-Up-*` header off each request, so that
// the site never sees them.
//
// DANGER: what error routes (`handle_errors`) serve, and what runs before this
// handler, it does not protect.
type StepUp struct {
	// How the gateway learns whose request it is: a module of the namespace
	// `stepgate.identity`. Required.
	IdentityRaw json.RawMessage `json:"identity,omitempty" caddy:"namespace=stepgate.identity inline_key=module"`

	// The requests that are protected. None means that only the settings page is
	// served.
	Rules []Rule `json:"rules,omitempty"`

	// Challenges players on browsers and apps that their accounts do not trust, before
	// anything else. Default: nobody is asked.
	NewDevice *NewDevice `json:"new_device,omitempty"`

	// The frameworks of the site, whose further doors are followed: `aspnet`, `django`,
	// `express`, `laravel`, `nextjs`, `php`, `rails`, `spring`, `symfony`, `wordpress`.
	// Default: none, which follows the doors that cost no site a needless challenge.
	Profiles []string `json:"profiles,omitempty"`

	// What rules do that do not say so themselves: `enforce`; or `report`, which
	// challenges nobody and logs and counts what would have happened. Default: enforce.
	Mode Mode `json:"mode,omitempty"`

	// A path of the site at which players find the page where they set up their
	// second factor. Default: under Prefix only, at `/security`.
	Settings string `json:"settings,omitempty"`

	// The path of the site's login page, to which visitors are sent. Default: none;
	// they are refused. With `first_enrolment login` it is required.
	LoginPage string `json:"login_page,omitempty"`

	// Further paths at which players log in, such as that of an API or of a provider's
	// answer (`/api/login`, `/oauth/callback`), under any method. What a session has with
	// us ends there before it can be another player's. Default: none.
	Logins []string `json:"logins,omitempty"`

	// The paths at which players log out. What their session has with us ends there.
	// Default: none; then it ends with the session itself.
	Logouts []string `json:"logouts,omitempty"`

	// Scheme and host under which players reach the site, such as
	// `https://casino.example`, for the links in notices: https, or http on this
	// machine. Default: the host asked for, where TLS vouches for it. Behind a proxy
	// that ends TLS nothing does, so that without this notices have no link there.
	PublicURL string `json:"public_url,omitempty"`

	// The path under which everything is the gateway's own and never reaches the
	// site. Default: `/.stepgate`.
	Prefix string `json:"prefix,omitempty"`

	// Further origins whose pages may send unsafe requests to protected routes,
	// such as `https://www.example.com`. Default: the site's own only. Every
	// origin here can make its visitors open challenges.
	TrustedOrigins []string `json:"trusted_origins,omitempty"`

	// The longest request body that is held, in bytes, at most 1048576, which is
	// also the default. A longer one on a single-use rule is refused.
	MaxBody int64 `json:"max_body,omitempty"`

	gate   *gate.Gate
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*StepUp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.step_up", New: func() caddy.Module { return new(StepUp) }}
}

// Provision makes the gate.
func (h *StepUp) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	app, err := appOf(ctx)
	if err != nil {
		return err
	}
	if err := h.checkTrust(); err != nil {
		return err
	}
	source, err := h.loadIdentity(ctx)
	if err != nil {
		return fmt.Errorf("loading identity: %w", err)
	}
	if h.MaxBody < 0 || h.MaxBody > gate.DefaultMaxBody {
		return fmt.Errorf("max_body is %d bytes: want 1 to %d, which fits into one record of a store", h.MaxBody, gate.DefaultMaxBody)
	}
	if err := h.NewDevice.check(); err != nil {
		return err
	}
	rules, err := h.compile(app.courier != nil)
	if err != nil {
		return err
	}
	if h.LoginPage == "" && app.FirstEnrolment.needsLoginPage() {
		return errNoLoginPage
	}
	if s, ok := source.(interface{ seesLogins() bool }); ok && !s.seesLogins() && app.FirstEnrolment.needsLoginPage() {
		return errLoginUnseen
	}
	if s, ok := source.(interface{ bindsSubject() bool }); ok && s.bindsSubject() && app.FirstEnrolment.needsLoginPage() {
		return errLoginShared
	}
	h.warn(rules.Rules())
	config := gate.Config{
		Policy: rules, Identity: source, Backend: app.backend, Pages: app.pages,
		SMS: app.courier, Issuer: app.Brand.Name,
		Prefix: h.Prefix, Settings: h.Settings, LoginPage: h.LoginPage, TrustedOrigins: h.TrustedOrigins,
		PublicURL: h.PublicURL, Remember: h.NewDevice.remember(), SessionPass: h.NewDevice.sessionPass(),
		FirstEnrolment: app.firstEnrolment, StrictTOTP: app.StrictTOTP, MaxBody: h.MaxBody,
		ClientIP: clientIP, Original: originalURL, Observe: app.observe, Failed: app.failed, Unlogged: unlogged,
	}
	if app.SMS != nil {
		config.Numbering = app.SMS.numbering()
		if err := app.SMS.fits(ctx, h.PublicURL, app.pages); err != nil {
			return err
		}
	}
	if app.webhook != nil {
		config.Notify = app.webhook.Send
	}
	if h.gate, err = gate.New(config); err != nil {
		return err
	}
	app.meetSite(h.gate.NoticeURL())
	app.meetServer(ctx)
	return nil
}

// warn tells what weakens the gate on purpose.
func (h *StepUp) warn(rules []policy.Rule) {
	var reported []string
	for _, rule := range rules {
		if rule.Unenrolled == policy.UnenrolledAllow {
			h.logger.Warn("players without a second factor pass this rule", zap.String("rule", rule.Name))
		}
		if rule.Report {
			reported = append(reported, rule.Name)
		}
	}
	if len(reported) > 0 {
		h.logger.Warn("REPORT MODE: these rules protect NOTHING; they only log and count what they would do", zap.Strings("rules", reported))
	}
}

// appOf returns the app of the configuration. One that is missing must not be made
// up: without its store and brand nothing would be protected.
func appOf(ctx caddy.Context) (*App, error) {
	mod, err := ctx.AppIfConfigured(appName)
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, errors.New("step_up needs the app stepgate: add a stepgate block to the global options")
	}
	if err != nil {
		return nil, err
	}
	app, ok := mod.(*App)
	if !ok {
		return nil, fmt.Errorf("app stepgate is a %T", mod) // unreachable
	}
	return app, nil
}

func (h *StepUp) loadIdentity(ctx caddy.Context) (identity.Source, error) {
	if h.IdentityRaw == nil {
		return nil, errors.New("no identity source is configured: write one, such as identity upstream http://127.0.0.1:8080/api/me")
	}
	mod, err := ctx.LoadModule(h, "IdentityRaw")
	if err != nil {
		return nil, err
	}
	source, ok := mod.(identity.Source)
	if !ok {
		return nil, fmt.Errorf("module of type %T is no identity source", mod)
	}
	return source, nil
}

// prefix is the Prefix, or the gate's own default.
func (h *StepUp) prefix() string { return cmp.Or(h.Prefix, gate.DefaultPrefix) }

// ServeHTTP hands a request to the gate. An error that comes back from the next
// handler is returned unchanged; the gate's own is answered here, because Caddy's
// error routes may lead to the site without passing the gate.
func (h *StepUp) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	on := onward{next: next}
	err := h.gate.Serve(w, r, &on)
	if err == nil || on.gone {
		return err
	}
	h.logger.Error("gate failed; the request did not go on", zap.Error(err))
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "Step-up authentication is not available at the moment.", http.StatusInternalServerError)
	return nil
}

// onward is where one request goes on to.
type onward struct {
	next caddyhttp.Handler
	// gone says that it did, so that an error is the next handler's.
	gone bool
}

// Forward hands the request to the next handler.
func (o *onward) Forward(w http.ResponseWriter, r *http.Request) error {
	o.gone = true
	return o.next.ServeHTTP(w, r)
}

// Release lets a restored request enter the server as if it had just arrived:
// routing, placeholders, authentication and the gate itself see it anew, and it
// gets its own line in the access log. The server answers it in every case.
func (o *onward) Release(w http.ResponseWriter, r *http.Request) error {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server == nil {
		return errors.New("releasing a held request: it has no server")
	}
	// What the handlers before us have set for this answer they set again; only the
	// cookies are the gate's.
	cookies := w.Header()["Set-Cookie"]
	clear(w.Header())
	if len(cookies) > 0 {
		w.Header()["Set-Cookie"] = cookies
	}
	server.ServeHTTP(w, r)
	return nil
}

// clientIP returns the client's address as Caddy knows it, which honours trusted
// proxies and nothing else. It is empty for a client over a unix socket that no proxy
// speaks for.
func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// unlogged keeps a request out of the access log.
func unlogged(r *http.Request) { caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true) }

// originalURL returns the URL that the client asked for, if a handler before us has
// rewritten it. It runs for every request and allocates nothing.
func originalURL(r *http.Request) *url.URL {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || original.URL == nil {
		return nil
	}
	was, is := original.URL, r.URL
	if was.Path == is.Path && was.RawPath == is.RawPath && was.RawQuery == is.RawQuery {
		return nil
	}
	return was
}

var (
	_ caddy.Provisioner           = (*StepUp)(nil)
	_ caddyhttp.MiddlewareHandler = (*StepUp)(nil)
	_ gate.Next                   = (*onward)(nil)
)
