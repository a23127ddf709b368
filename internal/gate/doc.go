// Package gate is the way of one request: it decides whether a request goes on
// to the site, and talks to the player where it does not yet. It is plain
// net/http and knows nothing of Caddy; package caddymodule gives it its
// configuration and carries its requests.
//
// # The life of a request
//
// A request arrives in [Gate.Serve].
//
//  1. takeOwn (cookies.go) takes our own cookies and every Step-Up-* header off
//     it, whatever its path. What a client sends under our names ends here; what
//     the site gets never carries it.
//  2. What stands under our prefix, and the settings page, is answered by own.go,
//     settings.go and api.go and never reaches the site.
//  3. Package policy looks at the request in all its spellings. No rule: it goes
//     on, with no allocation and no look-up. Two readings of which one is
//     protected: the rules apply. No safe reading at all: 400. What logs somebody in or
//     out ends what the session had (visit.go).
//  4. protect (protect.go) refuses unsafe requests of other sites, waits for the body
//     (arrival.go), asks package identity whose session it is, and turns the session credential into a
//     binding, its keyed hash. Nobody: refuseAnonymous. Cannot ask: 503.
//  5. A form of our own page is an answer, see below.
//  6. unmet reads the grant (package grant) and compares it with subject, binding,
//     host and epoch; the epoch comes from memory (package account). What is left the issuer of
//     the caller's token may vouch for, where a rule trusts it (issuer.go). All rules
//     satisfied: it goes on. Single-use rules are never satisfied by a grant.
//  7. approval looks for a passed challenge that approves this very request: one
//     that travels with a request which we restored ourselves, or one that a
//     script names in Step-Up-Challenge. The digest of the request is compared
//     again, here, at the last moment. It fits: it goes on, and the approval is
//     gone.
//  8. interrupt (interrupt.go) finds out how the player can answer: enrolled
//     factors, the phone that the site knows, or not at all. It opens a challenge
//     on the account (package account decides whether it is a new one), writes it
//     with the captured request (packages challenge and held), sends the first SMS
//     code (smscode.go), and answers 401: a page at the request's own URL, or
//     JSON (RFC 9470, RFC 9457).
//
// # The life of an answer
//
// The page's form comes back to the same URL, marked by its first field
// (form.go); a script posts JSON to the challenge's URL (api.go). Both end in try
// (answer.go): package account checks the budgets, compares the code and consumes
// it in one atomic update of the account. Only then does package challenge move
// from pending to passed, again atomically, and for a held form in the same step
// to released, which takes the held request out of the record. complete sends it
// through the server from its start, under the current cookies; it comes back to
// Serve with its approval in its context, and passes at step 7.
//
// A crash between the two updates costs the player a code and never lets a
// second request through; a crash after the second may lose the request, and the
// page says that nothing is known of it.
//
// A code that a provider has made is asked of the provider between two updates of the
// account (smscode.go): one spends the attempt, the other settles it. What providers say
// of a message later comes to receipts.go; only that it failed has an effect, which is
// that the player may ask for another one at once.
//
// # New devices
//
// A rule for new devices meets nearly every request (newdevice.go). Visitors pass; a
// trusted device takes the rule off those that are unmet after step 6; and a session pass
// takes the place of steps 4 to 6 where nothing else applies. sessions.go knows since when
// a session is settled: every request that may change whose it is says so there.
//
// # Requests that name an account
//
// A password reset names its account and bears no session (named.go). It has a way of its
// own, after the rules about its session, if any, are met, and the same steps from 6 on.
// Whatever the name is, it meets the same.
//
// # Settings
//
// The actions of the security page are rows of one table (settings.go), each with a
// rule of our own that is single-use, and go through the same steps. There is no
// second way to check a factor. What a first factor needs is in firstenrolment.go.
// What a change is told to the player by, and the link that freezes the account, are
// in notice.go: tell is called once the answer is written.
//
// # Where no is said
//
// refuse.go has every refusal. protect and protectNamed pass a request on in a few lines,
// each of which begins with a reason; everything else, an unknown error included, ends
// in a refusal.
package gate
