package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/alias"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/grant"
	"github.com/stepgate/stepgate/internal/notify"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// Defaults of Config.
const (
	DefaultPrefix   = "/.stepgate"
	DefaultMaxBody  = 1 << 20
	DefaultTOTPSkew = 1
	// MaxRemember is the longest time for which a browser is trusted.
	MaxRemember = 90 * 24 * time.Hour
)

// Config is what a Gate is made of. Policy, Identity, Backend and Pages are
// required; the zero value of every other field is its default.
type Config struct {
	// Policy says which requests are protected.
	Policy *policy.Set
	// Identity says whose request it is.
	Identity identity.Source
	// Backend returns what the gate keeps its state in. It is called for each
	// protected request and must be quick once it has succeeded; an error means that
	// the request is answered 503.
	Backend func(ctx context.Context) (*Backend, error)
	// Pages renders what the player sees.
	Pages *challengepages.Renderer

	// SMS carries codes and notices; nil means that SMS is no factor here.
	SMS *courier.Courier
	// Numbering says which phone numbers get an SMS. Default: Indonesian mobile
	// numbers.
	Numbering sms.Numbering

	// Issuer names the site in authenticator apps.
	Issuer string
	// Prefix is the path under which everything is Stepgate's own, without a slash
	// at its end. Default "/.stepgate".
	Prefix string
	// Settings is a path of the site at which the security page stands too; empty
	// for none.
	Settings string
	// LoginPage is the site's login page; empty if there is none to send players to.
	LoginPage string
	// TrustedOrigins are origins ("https://www.example.com") that may send unsafe
	// requests to protected routes besides the site's own.
	TrustedOrigins []string
	// FirstEnrolment is how players get a first factor whose phone the site does not
	// know (invariant I6). Default: bound at once, with protected routes closed for 24
	// hours.
	FirstEnrolment FirstEnrolment
	// PublicURL is scheme and host under which players reach the site, for the links
	// in notices: "https://casino.example". Default: the host asked for, where TLS
	// vouches for it; else notices have no link.
	PublicURL string
	// Notify hands a notice to the operator, who tells the player by means of their
	// own. It may take as long as its own timeout. Default: nobody is told.
	Notify func(ctx context.Context, n notify.Notice) error
	// MaxBody is the longest body that is held, in bytes. Default 1 MiB.
	MaxBody int64
	// TOTPSkew is how many 30-second steps of clock difference are accepted either
	// way, 0 or 1. Default 1, a deviation from OWASP ASVS 6.5.5 that phones need; 0
	// with StrictTOTP.
	StrictTOTP bool

	// Remember is for how long a browser is trusted where its player says so: whole days, at
	// most 90. Negative: nobody is asked. Default 30 days.
	Remember time.Duration

	// SessionPass is for how long a rule for new devices that was satisfied is not looked at
	// again. Longer is cheaper; for so long a session that changes hands without a login
	// that this gateway sees counts as what it was. Negative: none is given. Default 5
	// minutes.
	SessionPass time.Duration

	// ClientIP returns the client's address, empty if it is not known, as over a unix
	// socket: all who have none share one limit by address. No header of the request may
	// change it unless a trusted proxy has written it. Default: the host of RemoteAddr.
	ClientIP func(r *http.Request) string
	// Original returns the URL that the client asked for, where something before the
	// gate has rewritten it, else nil. Default: none has.
	Original func(r *http.Request) *url.URL
	// Observe is told of everything that happens to a request. It must be quick, and safe
	// for concurrent use. The request is nil for what happens beside one, as with an SMS
	// whose provider answers late.
	Observe func(r *http.Request, e audit.Event)
	// Failed is told, as Observe is, of each error of what the gate depends on: the
	// request was answered 503, or a player was not told of a change. The errors name what
	// could not be asked, and no player. It must be quick.
	Failed func(r *http.Request, err error)
	// Unlogged is told of requests whose URL must stand in no access log. Default: nobody
	// is told.
	Unlogged func(r *http.Request)
	// Now and Rand are the clock and the source of randomness. Default time.Now and
	// crypto/rand.Reader.
	Now  func() time.Time
	Rand io.Reader
}

// Next is where a request goes on to.
type Next interface {
	// Forward hands the request to the site.
	Forward(w http.ResponseWriter, r *http.Request) error
	// Release sends a restored request through the server from its start, so that
	// routing and every other handler see it as if it had just arrived. It comes
	// back to the gate, which looks at it again.
	Release(w http.ResponseWriter, r *http.Request) error
}

// Backend is where the gate keeps its state.
type Backend struct {
	Store      store.Store
	Ring       *seal.Ring
	Accounts   *account.Book
	Challenges *challenge.Book
	Grants     *grant.Codec
	Aliases    *alias.Book

	rand io.Reader
	now  func() time.Time
}

// NewBackend returns the backend over a store and a key ring.
func NewBackend(s store.Store, ring *seal.Ring, rand io.Reader, now func() time.Time) (*Backend, error) {
	grants, err := grant.NewCodec(ring)
	if err != nil {
		return nil, err
	}
	return &Backend{
		Store:      s,
		Ring:       ring,
		Accounts:   account.NewBook(s, ring, rand, now),
		Challenges: challenge.NewBook(s, ring, rand, now),
		Grants:     grants,
		Aliases:    alias.NewBook(s, ring, rand),
		rand:       rand,
		now:        now,
	}, nil
}

// desk is where the courier keeps its state.
func (b *Backend) desk(observe func(e audit.Event), failed func(err error)) courier.Desk {
	return courier.Desk{Store: b.Store, Ring: b.Ring, Rand: b.rand, Now: b.now, Observe: observe, Failed: failed}
}

// Close releases what the backend holds beside its store.
func (b *Backend) Close() {
	b.Accounts.Close()
	b.Aliases.Close()
}

// Gate interrupts sensitive requests. It is safe for concurrent use.
type Gate struct {
	Config
	origin *http.CrossOriginProtection
	// groups are the hashes of the rules' groups, by rule name.
	groups map[string]grant.Hash
	// actions are what can be done on the security page, by path.
	actions map[string]*action
	// holds are those of all rules: the security page says until when something is
	// closed.
	holds []policy.Hold
	skew  int
	// recaller is Identity where it can do more, else nil.
	recaller identity.Recaller
	// newDevice is the rule for new devices, nil if there is none; watches tells that there
	// are rules which name logins or logouts.
	newDevice *policy.Rule
	watches   bool
	// names tells that there are rules about the account that a request names.
	names bool
	// passes is nil where no passes are given, sessions where nothing depends on them.
	passes   *marks
	sessions *sessions
	// siteRoute is the pass of every route of the site.
	siteRoute pass
}

// New returns a gate. It reports what is missing or wrong in its configuration.
func New(c Config) (*Gate, error) {
	if c.Policy == nil || c.Identity == nil || c.Backend == nil || c.Pages == nil {
		return nil, errors.New("configuring gate: policy, identity, backend and pages are required")
	}
	if err := c.defaults(); err != nil {
		return nil, err
	}
	g := &Gate{Config: c, origin: http.NewCrossOriginProtection(), groups: map[string]grant.Hash{}, skew: DefaultTOTPSkew}
	if c.StrictTOTP {
		g.skew = 0
	}
	for _, origin := range c.TrustedOrigins {
		if err := g.origin.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("configuring trusted origin: %w", err)
		}
	}
	for _, rule := range c.Policy.Rules() {
		if isSettingsRule(rule.Name) {
			return nil, fmt.Errorf("configuring gate: rule %q: names that begin with %q are Stepgate's own", rule.Name, settingsPrefix)
		}
		g.groups[rule.Name] = grant.HashOf(rule.Group)
		if rule.Kind == policy.NewDevice && !rule.Report {
			g.newDevice = &rule
		}
		g.watches = g.watches || !rule.Guards()
		g.names = g.names || len(rule.NamedBy) > 0
		g.holds = append(g.holds, rule.Holds...)
	}
	g.actions = newActions()
	g.recaller, _ = c.Identity.(identity.Recaller)
	if g.newDevice != nil && g.recaller != nil && g.SessionPass > 0 {
		g.passes = newMarks(g.SessionPass, g.Now)
	}
	g.sessions = newSessions(c.Identity, g.passes)
	g.siteRoute = g.forward
	return g, nil
}

func (c *Config) defaults() error {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Prefix[0] != '/' || len(c.Prefix) < 2 || strings.HasSuffix(c.Prefix, "/") {
		return fmt.Errorf("configuring gate: prefix %q: want a path such as %q", c.Prefix, DefaultPrefix)
	}
	if c.Settings != "" && c.Settings[0] != '/' {
		return fmt.Errorf("configuring gate: settings %q: want a path such as \"/account/security\"", c.Settings)
	}
	if c.LoginPage != "" && (c.LoginPage[0] != '/' || strings.HasPrefix(c.LoginPage, "//")) {
		return fmt.Errorf("configuring gate: login_page %q: want a path of the site such as \"/login\"", c.LoginPage)
	}
	if c.PublicURL != "" {
		if err := CheckPublicURL(c.PublicURL); err != nil {
			return fmt.Errorf("configuring gate: %w", err)
		}
	}
	if err := c.firstEnrolmentDefaults(); err != nil {
		return err
	}
	if c.MaxBody <= 0 {
		c.MaxBody = DefaultMaxBody
	}
	if err := c.Numbering.Validate(); err != nil {
		return fmt.Errorf("configuring gate: %w", err)
	}
	switch {
	case c.Remember == 0:
		c.Remember = account.TrustLifetime
	case c.Remember > MaxRemember || c.Remember > 0 && c.Remember%(24*time.Hour) != 0:
		return fmt.Errorf("configuring gate: remember %s: want whole days, at most %d, such as 30d", c.Remember, MaxRemember/(24*time.Hour))
	}
	if c.SessionPass == 0 {
		c.SessionPass = DefaultSessionPass
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = cryptoRand
	}
	if c.ClientIP == nil {
		c.ClientIP = remoteHost
	}
	if c.Original == nil {
		c.Original = func(*http.Request) *url.URL { return nil }
	}
	if c.Observe == nil {
		c.Observe = func(*http.Request, audit.Event) {}
	}
	if c.Failed == nil {
		c.Failed = func(*http.Request, error) {}
	}
	if c.Unlogged == nil {
		c.Unlogged = func(*http.Request) {}
	}
	return nil
}

// Serve answers a request, or hands it on to next. An error is next's own and is
// returned unchanged.
func (g *Gate) Serve(w http.ResponseWriter, r *http.Request, next Next) error {
	own := takeOwn(r)
	if g.isOwn(r.URL.Path) {
		return g.serveOwn(w, r, own, next)
	}
	decision := g.decide(r)
	switch {
	case decision.RefuseReport:
		g.observe(r, audit.Event{Name: audit.Reported(audit.RequestAmbiguous), Reason: decision.Refuse})
		return g.forwardOpen(w, r, next)
	case decision.Refuse != "":
		return g.refuse(w, r, own, refusal{
			status: http.StatusBadRequest, problem: "ambiguous-request", title: "The request can be understood in more than one way",
			page: challengepages.Outcome{Kind: challengepages.OutcomeAmbiguous, Link: "/"}, event: audit.RequestAmbiguous, reason: decision.Refuse,
		})
	}
	rules, next := g.visits(decision.Rules, own, next)
	rules, next = g.namings(g.enforced(r, own, rules), own, next)
	if len(rules) > 0 {
		return g.protect(w, r, own, route{rules: rules, next: next, pass: g.siteRoute})
	}
	if named, ok := next.(naming); ok {
		return named.Forward(w, r)
	}
	if decision.Near {
		// The page of a challenge posts its form to the URL of the request that was
		// challenged; that form is ours although no rule protects it there.
		if form, ok := takeForm(r); ok {
			return g.answerForm(w, r, own, form, route{next: next})
		}
	}
	return g.forwardOpen(w, r, next)
}

// forwardOpen hands on a request that no rule protects.
func (g *Gate) forwardOpen(w http.ResponseWriter, r *http.Request, next Next) error {
	if g.sessions == nil {
		return next.Forward(w, r)
	}
	// Found now: whoever comes next may change the request's header.
	credential, found := g.Identity.Credential(r)
	return g.sessions.forward(w, r, next, credential, found)
}

// observe reports what happened to a request.
func (g *Gate) observe(r *http.Request, e audit.Event) {
	e.At = g.Now()
	g.Observe(r, e)
}

// mayWrite reports whether the site may take a request for one that changes something,
// whatever its request line says: some take a GET for the method that its query names.
func mayWrite(r *http.Request) bool {
	request := policy.Request{Method: r.Method, RawQuery: r.URL.RawQuery, Header: r.Header}
	return request.MayWrite(r.ContentLength != 0)
}

// crossSite reports whether another site made the player's browser send a request that
// may change something.
func (g *Gate) crossSite(r *http.Request) bool {
	if isSafe(r.Method) && mayWrite(r) {
		// Else a link would do what a form must not.
		r = r.WithContext(r.Context())
		r.Method = http.MethodPost
	}
	return g.origin.Check(r) != nil
}

// isSafe reports whether a method is one of those that only read (RFC 9110 section 9.2.1).
func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions || method == http.MethodTrace
}
