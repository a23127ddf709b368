package policy

import (
	"strings"
	"time"
)

// Factor names a kind of second factor. The values appear in the Caddyfile, in
// the JSON API and in acr_values (RFC 9470).
type Factor string

// The factors that a rule can accept.
const (
	TOTP        Factor = "totp"
	SMS         Factor = "sms"
	RecoveryKey Factor = "recovery_key"
)

// DefaultFactors is what a rule accepts that names none, in order of
// preference.
var DefaultFactors = []Factor{TOTP, SMS, RecoveryKey}

// Anonymous says what a caller meets whose request matches a rule while nobody
// is logged in.
type Anonymous string

// The answers to anonymous callers.
const (
	// AnonymousRefuse answers 401 without telling anything about the rule.
	AnonymousRefuse Anonymous = "refuse"
	// AnonymousLogin sends page navigations to the site's login page, and refuses
	// everything else.
	AnonymousLogin Anonymous = "login"
)

// Unenrolled says what a player meets who has no second factor.
type Unenrolled string

// The answers to players without a factor, from the strictest.
const (
	// UnenrolledEnrol refuses, and leads to the page where a factor is set up.
	UnenrolledEnrol Unenrolled = "enrol"
	// UnenrolledRegisteredPhone sends a code to the phone that the site knows for
	// the player; where it knows none, it is as UnenrolledEnrol.
	UnenrolledRegisteredPhone Unenrolled = "registered_phone"
	// UnenrolledAllow lets the request through. Two-factor authentication is then
	// the player's own choice.
	UnenrolledAllow Unenrolled = "allow"
)

// DefaultMaxAge is how long a passed challenge opens its group of rules, and
// DefaultDeviceAge how long it silences a rule for new devices where the browser is
// not trusted: as long as a session may last.
const (
	DefaultMaxAge    = 5 * time.Minute
	DefaultDeviceAge = 24 * time.Hour
)

// Detail is one significant detail of a request that the challenge page shows:
// what the player approves (OWASP Transaction Authorization 1.1).
type Detail struct {
	// Label names it, and picks a translated label where one is known: amount,
	// to, account, bank, email, phone.
	Label string
	// Source says where the value stands in the request.
	Source DetailSource
	// Name is the field's name, or for JSON a dotted path.
	Name string
}

// Naming is a place in a request where an account is named: by login name, e-mail address
// or phone number. Name is as in Detail.
type Naming struct {
	Source DetailSource
	Name   string
}

// Names reports whether a parameter of a request can be read as one in which the rule's
// account is named, wherever it stands: most sites take it from the query as well as from
// the body, whichever the rule says. It is clear if nobody can take it for anything else,
// such as a list of names or, written as email[$ne], a question to a database.
func (r *Rule) Names(f Field) (named, clear bool) {
	for _, n := range r.NamedBy {
		if hasName(f.Name, n.Name) {
			named = true
			clear = clear || !f.Container && strings.EqualFold(mangle(member.Replace(f.Name)), mangle(n.Name))
		}
	}
	return named, clear
}

// member turns the brackets of a name into the dots of a path, as members does, but leaves
// a list one.
var member = strings.NewReplacer("[", ".", "]", "")

// DetailSource is a place in a request.
type DetailSource string

// The places a detail can be taken from.
const (
	FromForm  DetailSource = "form"
	FromJSON  DetailSource = "json"
	FromQuery DetailSource = "query"
)

// Kind says what a rule is about.
type Kind string

// The kinds.
const (
	// Sensitive requests can hurt a player. It is the kind of a rule that names none.
	Sensitive Kind = ""
	// NewDevice stands for requests that a player makes from a browser or an app that is
	// not trusted. Such a rule asks for nothing of visitors.
	NewDevice Kind = "new_device"
	// Login and Logout protect nothing: they name the requests after which a session is
	// another player's, or nobody's.
	Login  Kind = "login"
	Logout Kind = "logout"
)

// Rule says which requests are protected, and by what. Paths, Methods, Hosts,
// Conditions and Amounts all have to be met; within each list of names one is
// enough.
type Rule struct {
	// Kind is what it is about.
	Kind Kind
	// Name identifies the rule in pages, logs and metrics.
	Name string
	// Paths are the paths that it protects: exact, or ending in "*" for every path
	// that begins so. One segment in the middle may be "*", which stands for any.
	// At least one. Matching ignores case.
	Paths []string
	// Methods are the methods that it protects, in capitals; none means all.
	Methods []string
	// Hosts are the hosts that it protects, without port: whole, or "*.example.com"
	// for every name below. None means all.
	Hosts []string
	// Conditions narrow the rule by what the request says beside its path. All must
	// hold.
	Conditions []Condition
	// Amounts narrow the rule by a number in the request. All must hold.
	Amounts []Amount
	// ExceptPaths are paths that it leaves alone: exact, or ending in "*". An
	// exemption counts only for a request that is spelled plainly and exactly so,
	// case included.
	ExceptPaths []string
	// ExceptMethods are methods that it leaves alone, if the request can be read as
	// having no other. It excludes Methods.
	ExceptMethods []string
	// Report says that the rule only reports what it would do.
	Report bool
	// NamedBy says where the request names the account that it is about, as a password
	// reset does, which bears no session. A parameter is looked for in the query and in the
	// body, whichever of them is named, and has to stand there once: see [Rule.Names]. None:
	// the session says whose it is.
	NamedBy []Naming

	// Factors are the factors that satisfy it, in order of preference.
	Factors []Factor
	// MaxAge is how long a passed challenge satisfies it.
	MaxAge time.Duration
	// SingleUse demands a challenge for each request, and lets exactly the shown
	// request through, once.
	SingleUse bool
	// Trust is what the issuer of the player's token can say in a factor's place.
	Trust Trust
	// Group names the rules that one passed challenge opens together. It is the
	// rule's own name unless set.
	Group string
	// Details are shown on the challenge page.
	Details []Detail
	// Holds are the cooling-off times in which it refuses.
	Holds []Hold
	// Anonymous and Unenrolled say what other callers meet. A rule with NamedBy has no
	// anonymous callers, and by default takes the phone that the site knows.
	Anonymous  Anonymous
	Unenrolled Unenrolled
}

// Guards reports whether the rule holds requests back, as all but those of logins and
// logouts do.
func (r *Rule) Guards() bool { return r.Kind == Sensitive || r.Kind == NewDevice }

// Request is what the policy looks at: the facts of one request, as they came
// over the wire.
type Request struct {
	Method string
	// Host is the host that was asked, with or without port.
	Host string
	// Targets are the paths under which the request may be understood, still
	// escaped, without the query: the path as the site will get it first, then
	// the original one where something before us has rewritten it.
	Targets [2]string
	// RawQuery is the query without "?".
	RawQuery string
	// Header is the request's header. It is only read.
	Header map[string][]string
	// Body is what the body says; nil where it has not been read. Most decisions
	// need none: see [Decision.Ask].
	Body *Body
}
