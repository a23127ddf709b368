package gate

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/policy"
)

// challengeJSON is a challenge as scripts and apps see it (design.md section 8).
type challengeJSON struct {
	ID           string          `json:"id"`
	URL          string          `json:"url"`
	State        challenge.State `json:"state"`
	ExpiresAt    time.Time       `json:"expires_at"`
	Factors      []policy.Factor `json:"factors"`
	AttemptsLeft int             `json:"attempts_left"`
	SingleUse    bool            `json:"single_use"`
	// SentTo is the masked number that the SMS code went to, and SMS what is known of the
	// last one that was asked for.
	SentTo  string       `json:"sent_to,omitempty"`
	SMS     smsJSON      `json:"sms,omitempty"`
	Details []detailJSON `json:"details,omitempty"`
	// RecoveryKey is the new recovery key, in the answer to the old one only.
	RecoveryKey string `json:"recovery_key,omitempty"`
}

// smsJSON says what is known of an SMS. It never says why one was not sent: that would
// tell what is known of a number (invariant I11).
type smsJSON string

// The words for an SMS.
const (
	smsSent        smsJSON = "sent"        // a provider has it, or may have
	smsNotSent     smsJSON = "not-sent"    // no provider has it
	smsUndelivered smsJSON = "undelivered" // it did not arrive: another one can be asked for at once
)

type detailJSON struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

func (g *Gate) challengeView(ch *challenge.Challenge, a *account.Account, lang challengepages.Lang) *challengeJSON {
	v := &challengeJSON{
		ID: ch.ID, URL: g.challengeURL(ch.ID), State: ch.State(g.Now()), ExpiresAt: ch.Expires.UTC().Truncate(time.Second),
		Factors: ch.Factors, AttemptsLeft: a.AttemptsLeft(ch.ID), SingleUse: ch.SingleUse,
	}
	if v.State == challenge.Pending && v.AttemptsLeft == 0 {
		v.State = challenge.Expired
	}
	if ch.Sent() && !ch.Named() {
		v.SentTo = ch.Phone.Mask()
	}
	if v.State == challenge.Pending {
		v.SMS = smsOf(&ch.Sending)
	}
	for _, d := range ch.Details {
		v.Details = append(v.Details, detailJSON{Label: d.Label, Value: g.Pages.DetailValue(lang, challengepages.Detail(d))})
	}
	return v
}

// smsOf returns what is known of the last SMS; empty if none was asked for.
func smsOf(s *delivery.Sending) smsJSON {
	switch {
	case s.Sends == 0:
		return ""
	case s.NotSent:
		return smsNotSent
	case s.Failed:
		return smsUndelivered
	default:
		return smsSent
	}
}

func (g *Gate) challengeURL(id string) string { return g.Prefix + "/challenges/" + id }

// challengeProblem is the challenge for scripts and apps: the 401 of RFC 9470
// section 3, and the challenge as JSON.
func (g *Gate) challengeProblem(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, a *account.Account, need policy.Requirement) error {
	var acr []string
	for _, f := range need.Factors {
		// A recovery key stands in for a factor; it is no class of authentication.
		if f != policy.RecoveryKey {
			acr = append(acr, string(f))
		}
	}
	// What the caller can ask its own issuer for instead.
	acr = append(acr, need.ACR...)
	maxAge := int(need.MaxAge / time.Second)
	if need.SingleUse {
		maxAge = 0
	}
	setUnauthorized(w, who.credential, factorMissing, `, acr_values="`+strings.Join(acr, " ")+`", max_age="`+strconv.Itoa(maxAge)+`"`)
	return writeProblem(w, problem{
		Type: problemType + "step-up-required", Title: "Step-up authentication required", Status: http.StatusUnauthorized,
		Rule: need.Name(), Challenge: g.challengeView(ch, a, g.language(r, who.own)),
	})
}

// What a 401 of ours says is missing, as parameters of WWW-Authenticate.
const (
	factorMissing  = `error="insufficient_user_authentication", error_description="A second factor is required"` // RFC 9470 section 3
	tokenInvalid   = `error="invalid_token", error_description="Nobody is logged in"`                            // RFC 6750 section 3.1
	sessionMissing = `error="login_required", error_description="Nobody is logged in"`
)

// setUnauthorized sets the header that every 401 has to have (RFC 9110 section 15.5.2).
// To a token it speaks as RFC 6750 says; to everything else under a scheme of our own,
// at which no browser asks for a name and a password.
func setUnauthorized(w http.ResponseWriter, c identity.Credential, missing, more string) {
	scheme := "Step-Up "
	if c.Kind == identity.Bearer {
		scheme = "Bearer "
	}
	w.Header().Set("WWW-Authenticate", scheme+missing+more)
}

// answerJSON is the body of an answer.
type answerJSON struct {
	Factor policy.Factor `json:"factor"`
	Code   string        `json:"code"`
	// TrustBrowser asks to trust the browser from now on.
	TrustBrowser bool `json:"trust_browser"`
}

// answerAPI takes an answer from a script or an app.
func (g *Gate) answerAPI(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge) error {
	var in answerJSON
	dec := json.NewDecoder(io.LimitReader(r.Body, maxForm))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil || dec.More() {
		return writeProblem(w, problem{
			Type: problemType + "invalid-answer", Title: "The answer cannot be read", Status: http.StatusBadRequest,
			Detail: `Send {"factor":"totp","code":"123456"} as application/json.`,
		})
	}
	if state := ch.State(g.Now()); state != challenge.Pending {
		return g.ended(w, r, who, ch)
	}
	result, err := g.try(w, r, who, ch, answer{factor: in.Factor, code: in.Code, trust: in.TrustBrowser})
	defer g.tell(w, r, who, result.Alerts...)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	g.observeAnswer(r, who, ch, in.Factor, result.Verdict)
	no := problem{Type: problemType + "wrong-code", Title: "The code is wrong", Status: http.StatusUnprocessableEntity}
	switch result.Verdict {
	case account.Right:
		return g.passAPI(w, r, who, ch, in.Factor, result.Result)
	case account.Wrong:
		if result.over {
			no.Type, no.Title = problemType+"code-expired", "The code is no longer valid; ask for a new one"
		}
	case account.Used:
		no.Type, no.Title = problemType+"used-code", "The code was used before; wait for the next one"
	case account.Unusable:
		no.Type, no.Title = problemType+"factor-not-accepted", "The challenge cannot be answered by this factor"
	case account.TryLater:
		w.Header().Set("Retry-After", retryAfter(result.RetryAt.Sub(g.Now())))
		no.Type, no.Title, no.Status = problemType+"try-later", "Too many wrong answers; try again later", http.StatusTooManyRequests
	case account.Disabled:
		no.Type, no.Title, no.Status = problemType+"factor-disabled", "The factor was disabled after too many wrong answers", http.StatusForbidden
	default:
		if ch, err = who.backend.Challenges.Get(r.Context(), ch.ID); err != nil {
			return g.unavailable(w, r, who.own, err)
		}
		return g.ended(w, r, who, ch)
	}
	return g.withChallenge(w, r, who, ch, no)
}

func (g *Gate) passAPI(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, f policy.Factor, result account.Result) error {
	ch, _, moved, err := who.backend.Challenges.Pass(r.Context(), ch.ID, challenge.Passing{By: f, Epoch: result.Epoch, Root: result.Root}, false)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	if !moved {
		return g.ended(w, r, who, ch)
	}
	if f != policy.SMS {
		defer g.endCodeLater(w, r, who, ch.Running())
	}
	if err := g.giveGrant(w, r, who, ch); err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	v := g.challengeView(ch, new(account.Account), g.language(r, who.own))
	v.RecoveryKey = result.RecoveryKey
	return writeJSON(w, http.StatusOK, "application/json", map[string]*challengeJSON{"challenge": v})
}

// ended answers for a challenge that takes no answer any more.
func (g *Gate) ended(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge) error {
	return g.withChallenge(w, r, who, ch, problem{
		Type: problemType + "challenge-ended", Title: "The challenge takes no answer any more", Status: http.StatusGone,
	})
}

// withChallenge writes a problem with the challenge as it stands now.
func (g *Gate) withChallenge(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, p problem) error {
	a, err := who.backend.Accounts.Get(r.Context(), who.id)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	p.Challenge = g.challengeView(ch, a, g.language(r, who.own))
	return writeProblem(w, p)
}

// sendAPI sends or resends the SMS code.
func (g *Gate) sendAPI(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge) error {
	if ch.State(g.Now()) != challenge.Pending || !ch.Accepts(policy.SMS) {
		return g.ended(w, r, who, ch)
	}
	sends := ch.Sends
	ch, err := g.sendCode(r, who, ch, false)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	now := g.Now()
	wait := time.Duration(0)
	if at := ch.ResendAt(); at.After(now) {
		wait = at.Sub(now)
	}
	switch {
	case ch.Sends == sends:
		if wait > 0 {
			w.Header().Set("Retry-After", retryAfter(wait))
		}
		return g.withChallenge(w, r, who, ch, problem{
			Type: problemType + "send-later", Title: "No further code can be sent now", Status: http.StatusTooManyRequests,
		})
	case ch.NotSent:
		return g.withChallenge(w, r, who, ch, problem{
			Type: problemType + "not-sent", Title: "The code could not be sent", Status: http.StatusServiceUnavailable,
		})
	}
	accepted := map[string]any{"resend_after": int((wait + time.Second - 1) / time.Second)}
	if !ch.Named() {
		accepted["sent_to"] = ch.Phone.Mask()
	}
	return writeJSON(w, http.StatusAccepted, "application/json", accepted)
}

// isJSON reports whether the request's body is JSON.
func isJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}
