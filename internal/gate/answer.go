package gate

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/internal/grant"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/policy"
)

// answerForm takes the form of a challenge page, which stands at the URL of the request
// that was challenged.
func (g *Gate) answerForm(w http.ResponseWriter, r *http.Request, o own, form url.Values, rt route) error {
	if err := g.origin.Check(r); err != nil {
		return g.refuseCrossSite(w, r, o, rt.rules)
	}
	who, err := g.identifyFor(r, o, form.Get(challengepages.FieldChallenge))
	if err != nil {
		return g.refuseCaller(w, r, o, rt.rules, err)
	}
	return g.answerFormAs(w, r, who, form, rt.next)
}

// answerFormAs acts on the form of a challenge page.
func (g *Gate) answerFormAs(w http.ResponseWriter, r *http.Request, who *caller, form url.Values, next Next) error {
	// Early data can be replayed by whoever recorded it (RFC 8446 section 8).
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		w.WriteHeader(http.StatusTooEarly)
		return nil
	}
	ctx := r.Context()
	ch, err := who.backend.Challenges.Get(ctx, form.Get(challengepages.FieldChallenge))
	if isNotFound(err) {
		return g.page(w, r, who.own, http.StatusGone, challengepages.Outcome{Kind: challengepages.OutcomeExpired, Link: "/"})
	}
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	if !who.owns(ch, r.Host) {
		g.observe(r, audit.Event{Name: audit.ChallengeForeign, Subject: string(who.id), Challenge: ch.ID})
		return g.page(w, r, who.own, http.StatusForbidden, challengepages.Outcome{Kind: challengepages.OutcomeForeign, Link: "/"})
	}
	f := policy.Factor(form.Get(challengepages.FieldFactor))
	switch form.Get(challengepages.FieldAction) {
	case challengepages.ActionAnswer:
		typed := answer{factor: f, code: form.Get(challengepages.FieldCode), trust: form.Get(challengepages.FieldTrust) != ""}
		return g.answerPage(w, r, who, ch, typed, next)
	case challengepages.ActionContinue:
		return g.continuePage(w, r, who, ch, next)
	case challengepages.ActionSend:
		return g.sendPage(w, r, who, ch, false)
	case challengepages.ActionUse:
		if f == policy.SMS {
			return g.sendPage(w, r, who, ch, true)
		}
		return g.again(w, r, who, ch, shown{factor: f})
	case challengepages.ActionLanguage:
		if lang, ok := g.Pages.Lang(form.Get(challengepages.FieldLanguage)); ok {
			setCookie(w, r, cookieLanguage, string(lang), browserLifetime)
			who.own.language = string(lang)
		}
		return g.again(w, r, who, ch, shown{factor: f})
	case challengepages.ActionCancel:
		return g.cancelPage(w, r, who, ch, challengepages.OutcomeCancelled, audit.ChallengeCancelled)
	case challengepages.ActionNotMe:
		return g.cancelPage(w, r, who, ch, challengepages.OutcomeReported, audit.ChallengeReported)
	default:
		return g.page(w, r, who.own, http.StatusBadRequest, challengepages.Outcome{Kind: challengepages.OutcomeInvalidForm, Link: "/"})
	}
}

// answer is what somebody answers to a challenge.
type answer struct {
	factor policy.Factor
	code   string
	// trust asks to trust the browser from now on.
	trust bool
}

// try looks at one answer. What the account says is final; the challenge only
// follows it.
func (g *Gate) try(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, given answer) (tried, error) {
	if !ch.Accepts(given.factor) {
		return tried{Result: account.Result{Verdict: account.Unusable}}, nil
	}
	ctx, b, f := r.Context(), who.backend, given.factor
	answer := account.Answer{
		Challenge: ch.ID, Factor: f, Purpose: purposeOf(ch.Rules[0]), Code: given.code, Skew: g.skew,
		Client: g.clientOf(r),
	}
	secret, err := "", error(nil)
	if given.trust && g.mayTrust(ch, f) {
		if secret, err = g.newSecret(); err != nil {
			return tried{}, err
		}
		answer.Trust = account.Trust{Device: deviceHash(b.Ring, who.id, secret), For: g.Remember}
	}
	if f != policy.RecoveryKey {
		normal, ok := factor.NormalizeCode(given.code)
		if !ok {
			return g.malformed(ctx, who, ch)
		}
		answer.Code = normal
	} else if _, err := factor.ParseRecoveryKey(given.code); err != nil {
		return g.malformed(ctx, who, ch)
	}
	var t tried
	// What only the provider knows is asked of it. Where it has not answered when it was to
	// send the code, or is configured no more, nobody knows the code, and every answer is
	// wrong. Of a name nothing shows whether there is a code: neither how long a look at the
	// answer takes, nor that the provider is down.
	verification := ""
	switch {
	case f != policy.SMS:
	case g.checks(ch.Running()) && !ch.CodeExpired(g.Now()):
		verification = ch.Verification
	case ch.Named() && g.managed() != "":
		verification = decoyOf(b.Ring, ch.ID)
	}
	if verification != "" {
		t.Result, t.over, err = g.askProvider(r, who, verification, answer)
		t.over = t.over && !ch.Named()
	} else {
		if f == policy.SMS {
			t.over = !ch.Named() && (ch.CodeExpired(g.Now()) || ch.Managed != "")
			if answer.Expected, err = b.Challenges.Code(ch); err != nil {
				return tried{}, err
			}
		}
		t.Result, err = b.Accounts.Answer(ctx, who.id, answer)
	}
	if t.Verdict == account.UsedUp {
		if _, _, err := b.Challenges.End(context.WithoutCancel(ctx), ch.ID, challenge.UsedUp); err != nil {
			return t, err
		}
	}
	if err != nil {
		return t, err
	}
	if t.Verdict == account.Right && f == policy.SMS {
		g.verified(r, who, ch.Phone, &ch.Sending)
	}
	if t.Verdict == account.Right && secret != "" {
		who.knowDevice(secret)
		setCookie(w, r, deviceCookie(who.id), secret, g.Remember)
	}
	return t, nil
}

// tried is what became of an answer.
type tried struct {
	account.Result
	// over tells that the SMS code that was sent is no longer good, whatever was typed.
	over bool
}

// mayTrust reports whether a browser, or an app that keeps cookies, can be trusted after
// an answer: by a factor of the account that its holder uses every day.
func (g *Gate) mayTrust(ch *challenge.Challenge, f policy.Factor) bool {
	return g.Remember > 0 && ch.Enrolled && !ch.Named() && f != policy.RecoveryKey
}

// malformed is the result for what cannot be a code. It is compared with
// nothing, so it spends no attempt.
func (g *Gate) malformed(ctx context.Context, who *caller, ch *challenge.Challenge) (tried, error) {
	a, err := who.backend.Accounts.Get(ctx, who.id)
	if err != nil {
		return tried{}, err
	}
	left := a.AttemptsLeft(ch.ID)
	if left == 0 {
		return tried{Result: account.Result{Verdict: account.Gone}}, nil
	}
	return tried{Result: account.Result{Verdict: account.Wrong, AttemptsLeft: left}}, nil
}

// observeAnswer reports what became of an answer.
func (g *Gate) observeAnswer(r *http.Request, who *caller, ch *challenge.Challenge, f policy.Factor, v account.Verdict) {
	names := map[account.Verdict]audit.Name{
		account.Right: audit.ChallengePassed, account.Wrong: audit.ChallengeWrong, account.Used: audit.ChallengeWrong,
		account.UsedUp: audit.ChallengeUsedUp, account.TryLater: audit.ChallengeTryLater, account.Disabled: audit.ChallengeTryLater,
	}
	if name, ok := names[v]; ok {
		g.observe(r, audit.Event{
			Name: name, Subject: string(who.id), Challenge: ch.ID, Rule: strings.Join(ch.Rules, "+"), Factor: string(f),
		})
	}
}

func (g *Gate) answerPage(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, given answer, next Next) (failed error) {
	f := given.factor
	if ch.State(g.Now()) != challenge.Pending {
		return g.again(w, r, who, ch, shown{})
	}
	if strings.TrimSpace(given.code) == "" {
		return g.again(w, r, who, ch, shown{factor: f, problem: challengepages.ProblemEmptyCode})
	}
	result, err := g.try(w, r, who, ch, given)
	defer func() {
		answered := w
		if failed != nil {
			answered = nil // the server answers for a site that is down, after us
		}
		g.tell(answered, r, who, result.Alerts...)
	}()
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	g.observeAnswer(r, who, ch, f, result.Verdict)
	again := shown{factor: f, retryAt: result.RetryAt}
	switch result.Verdict {
	case account.Right:
		return g.passPage(w, r, who, ch, f, result.Result, next)
	case account.Wrong:
		again.problem = challengepages.ProblemWrongCode
		if result.over {
			again.problem = challengepages.ProblemCodeExpired
		}
	case account.Used:
		again.problem = challengepages.ProblemUsedCode
	case account.TryLater:
		again.problem = challengepages.ProblemTryLater
	case account.UsedUp, account.Gone:
		// Another copy of this very form may have been the right answer just now.
		if ch, err = who.backend.Challenges.Get(r.Context(), ch.ID); err != nil {
			return g.unavailable(w, r, who.own, err)
		}
	case account.Disabled:
		return g.page(w, r, who.own, http.StatusForbidden, challengepages.Outcome{Kind: challengepages.OutcomeFactorsDisabled, Link: g.settingsURL()})
	case account.Unusable:
		again.factor = ""
	}
	return g.again(w, r, who, ch, again)
}

// passPage moves the challenge on after a right answer and lets the player go on
// to where they were going.
func (g *Gate) passPage(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, f policy.Factor, result account.Result, next Next) error {
	// A new recovery key is shown before anything else, or it would be lost.
	showKey := result.RecoveryKey != ""
	goesOn := ch.Held != nil || g.returnTo(r, ch) != ""
	ch, request, moved, err := who.backend.Challenges.Pass(r.Context(), ch.ID, challenge.Passing{By: f, Epoch: result.Epoch, Root: result.Root}, goesOn && !showKey)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	if !moved {
		return g.again(w, r, who, ch, shown{})
	}
	if showKey {
		// No other factor stands beside a phone.
		defer g.endCodeLater(w, r, who, ch.Running())
		return g.page(w, r, who.own, http.StatusOK, challengepages.RecoveryKey{
			Key: result.RecoveryKey, Used: true, Held: ch.Held != nil, Action: g.target(r), Settings: g.settingsURL(), Now: g.Now(),
			Hidden: []challengepages.Hidden{
				{Name: challengepages.FieldChallenge, Value: ch.ID},
				{Name: challengepages.FieldAction, Value: challengepages.ActionContinue},
			},
		})
	}
	return g.complete(w, r, who, ch, request, next)
}

// continuePage goes on after the new recovery key was shown, to whoever had the old one.
func (g *Gate) continuePage(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, next Next) error {
	if ch.PassedBy != policy.RecoveryKey {
		return g.again(w, r, who, ch, shown{})
	}
	if err := who.backend.Accounts.KeepRecoveryKey(r.Context(), who.id); err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	if ch.Held == nil && g.returnTo(r, ch) == "" {
		return g.again(w, r, who, ch, shown{})
	}
	ch, request, moved, err := who.backend.Challenges.Take(r.Context(), ch.ID)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	if !moved {
		return g.again(w, r, who, ch, shown{})
	}
	return g.complete(w, r, who, ch, request, next)
}

// complete gives the caller what a passed challenge opens, and sends on what was
// held. It runs once for a challenge.
func (g *Gate) complete(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, request *held.Request, next Next) error {
	if err := g.giveGrant(w, r, who, ch); err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	switch {
	case request != nil:
		restored, err := request.Restore(r)
		if err != nil {
			return g.page(w, r, who.own, http.StatusBadRequest, challengepages.Outcome{Kind: challengepages.OutcomeCannotHold, Link: "/"})
		}
		ctx := context.WithValue(r.Context(), releaseKey{}, &release{challenge: ch, own: who.own})
		return next.Release(w, restored.WithContext(ctx))
	case sameSitePath(g.returnTo(r, ch)):
		to := g.returnTo(r, ch)
		if ch.PassedBy == policy.RecoveryKey {
			// Nothing is held that has to be sent first, so the player is led to where a new
			// phone is set up; the way back is there.
			to = g.settingsURL() + "?" + url.Values{fieldNotice: {string(challengepages.NoticeRecovered)}, fieldBack: {to}}.Encode()
		}
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	default:
		return g.page(w, r, who.own, http.StatusOK, challengepages.Outcome{Kind: challengepages.OutcomeConfirmed, Link: "/"})
	}
}

// returnTo returns where the player goes on after a passed challenge: where they were
// going when it opened; or, where all pages share one challenge, to the page in whose place
// this one stands. Empty if there is neither.
func (g *Gate) returnTo(r *http.Request, ch *challenge.Challenge) string {
	if ch.Anywhere && !g.isOwn(r.URL.Path) {
		return g.target(r)
	}
	return ch.Return
}

// giveGrant sets the step-up cookie for the groups that a passed challenge
// opens, beside those that an earlier grant still opens.
func (g *Gate) giveGrant(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge) error {
	if len(ch.Opens) == 0 {
		return nil
	}
	bound := who.bound
	bound.Epoch = ch.Epoch
	now := g.Now()
	gr := grant.Grant{Bound: bound}
	var old grant.Grant
	if who.own.grant != "" && who.backend.Grants.Decode(who.own.grant, &old) == nil && old.Fits(&bound) {
		gr.Entries = slices.Clone(old.Entries)
	}
	for _, o := range ch.Opens {
		gr.Add(grant.Entry{
			Group: grant.HashOf(o.Group), Factor: ch.PassedBy, At: ch.PassedAt, Expires: ch.PassedAt.Add(grantAge(o)),
		}, now)
	}
	return g.setGrant(w, r, who.backend, &gr)
}

func (g *Gate) sendPage(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, first bool) error {
	if ch.State(g.Now()) != challenge.Pending || !ch.Accepts(policy.SMS) {
		return g.again(w, r, who, ch, shown{})
	}
	sends := ch.Sends
	ch, err := g.sendCode(r, who, ch, first)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	again := shown{factor: policy.SMS}
	if ch.Sends == sends && !first {
		again.problem = challengepages.ProblemSendLater
	}
	return g.again(w, r, who, ch, again)
}

func (g *Gate) cancelPage(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, kind challengepages.OutcomeKind, why audit.Name) error {
	ch, running, err := g.cancel(r, who, ch, why)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	defer g.endCodeLater(w, r, who, running)
	if ch.State(g.Now()) != challenge.Cancelled {
		return g.again(w, r, who, ch, shown{})
	}
	return g.page(w, r, who.own, http.StatusOK, challengepages.Outcome{Kind: kind, Link: "/"})
}

// cancel drops a challenge and what it holds. The code that it returns is to be ended at
// its provider: of many that cancel the same challenge one does, or whoever asks again
// and again would use up what the provider lets all players ask.
func (g *Gate) cancel(r *http.Request, who *caller, ch *challenge.Challenge, why audit.Name) (*challenge.Challenge, delivery.Running, error) {
	if err := who.backend.Accounts.CloseChallenge(r.Context(), who.id, ch.ID, why, g.clientOf(r)); err != nil {
		return nil, delivery.Running{}, err
	}
	g.observe(r, audit.Event{Name: why, Subject: string(who.id), Challenge: ch.ID})
	ch, moved, err := who.backend.Challenges.End(r.Context(), ch.ID, challenge.Cancelled)
	if err != nil || !moved || ch.PassedBy != "" {
		return ch, delivery.Running{}, err
	}
	return ch, ch.Running(), nil
}

// shown is how a challenge page differs from its first showing.
type shown struct {
	status  int
	factor  policy.Factor
	problem challengepages.Problem
	retryAt time.Time
}

// again shows a challenge once more, or how it ended.
func (g *Gate) again(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, s shown) error {
	a, err := who.backend.Accounts.Get(r.Context(), who.id)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	if s.status == 0 {
		s.status = http.StatusUnauthorized
		if s.problem != challengepages.ProblemNone {
			s.status = http.StatusUnprocessableEntity
		}
	}
	return g.showChallenge(w, r, who, ch, a, s)
}

// showChallenge writes the challenge page, or the page that says how the
// challenge ended.
func (g *Gate) showChallenge(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, a *account.Account, s shown) error {
	now := g.Now()
	state := ch.State(now)
	left := a.AttemptsLeft(ch.ID)
	if state == challenge.Pending && left == 0 {
		// The account has closed it: its factors have changed, or a crash came between
		// the two writes of an answer. Either way no answer can pass it.
		state = challenge.Expired
	}
	if kind, ended := outcomes[state]; ended {
		return g.page(w, r, who.own, http.StatusGone, challengepages.Outcome{Kind: kind, Link: "/"})
	}
	if s.status == http.StatusUnauthorized {
		setUnauthorized(w, who.credential, factorMissing, "")
	}
	if !ch.Accepts(s.factor) {
		s.factor = ch.Factors[0]
	}
	page := challengepages.Challenge{
		ID: ch.ID, Action: g.target(r), Rule: ch.Rules[0], Factor: string(s.factor),
		AttemptsLeft: left, Problem: s.problem, RetryAt: s.retryAt, Expires: ch.Expires, Held: ch.Held != nil, Now: now,
		Help: g.helpURL(),
	}
	if g.mayTrust(ch, s.factor) && a.Device(who.device()) == nil {
		page.Trust = g.Remember
	}
	for _, d := range ch.Details {
		page.Details = append(page.Details, challengepages.Detail(d))
	}
	for _, f := range ch.Factors {
		if f != s.factor {
			page.Others = append(page.Others, string(f))
		}
	}
	if ch.Accepts(policy.SMS) {
		page.Phone, page.Sent, page.ResendAt = ch.Phone.Mask(), ch.Sent(), ch.ResendAt()
		if ch.Named() {
			page.Named, page.Phone = true, ""
		}
		if s.problem == challengepages.ProblemNone && s.factor == policy.SMS {
			page.Problem = problemOf(&ch.Sending)
		}
	}
	if until := a.NotBefore(s.factor, who.asker(ch.Rules[0])); page.Problem == challengepages.ProblemNone && now.Before(until) {
		page.Problem, page.RetryAt = challengepages.ProblemTryLater, until
	}
	return g.page(w, r, who.own, s.status, page)
}

// outcomes are the pages of the states in which a challenge has ended.
var outcomes = map[challenge.State]challengepages.OutcomeKind{
	challenge.Passed:    challengepages.OutcomeConfirmed,
	challenge.Released:  challengepages.OutcomeAlreadyDone,
	challenge.Cancelled: challengepages.OutcomeCancelled,
	challenge.Replaced:  challengepages.OutcomeReplaced,
	challenge.UsedUp:    challengepages.OutcomeUsedUp,
	challenge.Expired:   challengepages.OutcomeExpired,
}
