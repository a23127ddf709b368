package vonagetest

import (
	"crypto/rand"
	"encoding/json"
	"math/big"
	"net/http"
	"regexp"
	"time"
)

// maxWrong is how many wrong codes end a verification. Vonage's reference says "too
// many times"; three is what it had for the API before this one.
const maxWrong = 3

// defaultStepTime is how long a step of a workflow lasts unless the request says it.
const defaultStepTime = 300 * time.Second

// verification is one request to Verify. Its server's mu guards it.
type verification struct {
	id, brand, clientRef, code string
	steps                      []step
	stepTime                   time.Duration
	at                         int       // the step that is on
	since                      time.Time // of that step
	wrong                      int
	over                       bool
}

type step struct{ channel, to, from string }

// hasCode reports whether a step gives its user a code to type.
func (s step) hasCode() bool { return s.channel != "silent_auth" }

var stepFields = []field{
	{"channel", true, oneOf("sms", "voice", "whatsapp", "email", "silent_auth")},
	{"to", true, length(1, 255)},
	{"from", false, pattern(regexp.MustCompile(`^([0-9]{7,15}|[a-zA-Z0-9]{3,11})$`))},
	{"app_hash", false, length(11, 11)},
	{"entity_id", false, length(1, 100)},
	{"content_id", false, length(1, 100)},
}

var verifyFields = []field{
	{"brand", true, pattern(regexp.MustCompile(`^[^\\/{}:$]{1,16}$`))},
	{"workflow", true, workflow},
	{"locale", false, pattern(regexp.MustCompile(`^[a-z]{2}-[a-z]{2}$`))},
	{"channel_timeout", false, between(15, 900)},
	// Vonage's own clients disagree: 16 characters here, 40 there. The shorter is safe.
	{"client_ref", false, length(1, 16)},
	{"code_length", false, between(4, 10)},
	{"code", false, pattern(regexp.MustCompile(`^[a-zA-Z0-9]{4,10}$`))},
	{"fraud_check", false, boolean},
	{"template_id", false, pattern(regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`))},
}

func workflow(v any) string {
	steps, ok := v.([]any)
	if !ok || len(steps) == 0 {
		return "must be a list of steps."
	}
	for _, one := range steps {
		object, _ := one.(map[string]any)
		if faults := check(object, stepFields); len(faults) > 0 {
			return faults[0].Name + " " + faults[0].Reason
		}
		if text(object["channel"]) != "email" && !recipientForm.MatchString(text(object["to"])) {
			return "to is no number in E.164 form."
		}
	}
	return ""
}

func verifyInvalid(faults []fault) Answer {
	return problem{Status: http.StatusUnprocessableEntity, Type: "https://www.developer.vonage.com/api-errors#invalid-params", Title: "Invalid params",
		Detail: "The value of one or more parameters is invalid", Parameter: faults}.answer()
}

func verifyThrottled() Answer {
	p := rateLimit
	p.Type = "https://www.developer.vonage.com/api-errors#throttled"
	return p.answer()
}

// startVerification answers POST /v2/verify.
func (s *Server) startVerification(c *call) Answer {
	switch {
	case !s.authenticate(c):
		return unauthorized.answer()
	case s.throttled():
		return verifyThrottled()
	case c.object == nil:
		return invalidJSON.answer()
	}
	if faults := check(c.object, verifyFields); len(faults) > 0 {
		return verifyInvalid(faults)
	}
	switch httpStatus, variant := magic(c.To); httpStatus {
	case 0:
	case http.StatusUnauthorized:
		return unauthorized.answer()
	case http.StatusUnprocessableEntity:
		return verifyInvalid(nil)
	case http.StatusTooManyRequests:
		return verifyThrottled()
	default:
		return problemOf(httpStatus, variant).answer()
	}
	v := newVerification(c.object)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range v.steps {
		if other := s.running[st.to]; other != nil && !s.expired(other) {
			return problem{Status: http.StatusConflict, Type: "https://www.developer.vonage.com/api-errors/verify#conflict", Title: "Conflict",
				Detail: "Concurrent verifications to the same number are not allowed.", Request: other.id}.answer()
		}
	}
	s.verifications[v.id] = v
	for _, st := range v.steps {
		s.running[st.to] = v
	}
	v.since = s.o.Now()
	m := s.deliverStep(v)
	c.accepted = &m
	return jsonAnswer(http.StatusAccepted, map[string]string{"request_id": v.id})
}

func newVerification(object map[string]any) *verification {
	v := &verification{id: uuid(), brand: text(object["brand"]), clientRef: text(object["client_ref"]), code: text(object["code"]), stepTime: defaultStepTime}
	if timeout, ok := object["channel_timeout"].(json.Number); ok {
		seconds, _ := timeout.Int64() // checked
		v.stepTime = time.Duration(seconds) * time.Second
	}
	list, _ := object["workflow"].([]any)
	for _, one := range list {
		st, _ := one.(map[string]any)
		v.steps = append(v.steps, step{text(st["channel"]), text(st["to"]), text(st["from"])})
	}
	if v.code == "" {
		n := int64(4)
		if digits, ok := object["code_length"].(json.Number); ok {
			n, _ = digits.Int64() // checked
		}
		v.code = randomDigits(int(n))
	}
	return v
}

func randomDigits(n int) string {
	digits := make([]byte, n)
	for i := range digits {
		d, err := rand.Int(rand.Reader, big.NewInt(10))
		if err != nil {
			panic(err) // never fails
		}
		digits[i] = '0' + byte(d.Int64())
	}
	return string(digits)
}

// deliverStep sends what the step that is on sends. mu is held.
func (s *Server) deliverStep(v *verification) Message {
	st := v.steps[v.at]
	m := Message{API: Verify, ID: v.id, IDs: []string{v.id}, Channel: st.channel, To: st.to, From: st.from, ClientRef: v.clientRef, Parts: 1, At: v.since}
	if st.hasCode() {
		m.Text = v.code + " is your " + v.brand + " code"
	}
	s.deliver(m)
	return m
}

// expired brings a verification up to date: a step that has had its time gives way to
// the next one, and the last one ends it. mu is held.
func (s *Server) expired(v *verification) bool {
	for now := s.o.Now(); !v.over && now.Sub(v.since) >= v.stepTime; {
		v.since = v.since.Add(v.stepTime)
		s.advance(v)
	}
	return v.over
}

// advance goes on to the next step, or ends the verification. mu is held.
func (s *Server) advance(v *verification) {
	if v.at+1 == len(v.steps) {
		s.finish(v)
		return
	}
	v.at++
	s.deliverStep(v)
}

// finish ends a verification, and frees its numbers. mu is held.
func (s *Server) finish(v *verification) {
	v.over = true
	for _, st := range v.steps {
		if s.running[st.to] == v {
			delete(s.running, st.to)
		}
	}
}

// verification answers what is asked of a verification.
func (s *Server) verification(c *call) Answer {
	switch {
	case !s.authenticate(c):
		return unauthorized.answer()
	case s.throttled():
		return verifyThrottled()
	}
	if c.API == VerifyCheck {
		if c.object == nil {
			return invalidJSON.answer()
		}
		if faults := check(c.object, []field{{"code", true, length(1, 10)}}); len(faults) > 0 {
			return verifyInvalid(faults)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.verifications[c.id]
	if v == nil || s.expired(v) {
		return problem{Status: http.StatusNotFound, Type: "https://developer.vonage.com/api-errors#not-found", Title: "Not Found",
			Detail: "Request " + c.id + " was not found or it has been verified already."}.answer()
	}
	switch c.API {
	case VerifyNext:
		return s.nextStep(v)
	case VerifyCancel:
		s.finish(v)
		return Answer{Status: http.StatusNoContent}
	}
	return s.checkCode(v, text(c.object["code"]))
}

// nextStep goes on to the next step. mu is held.
func (s *Server) nextStep(v *verification) Answer {
	if v.at+1 == len(v.steps) {
		return problem{Status: http.StatusConflict, Type: "https://developer.nexmo.com/api-errors#conflict", Title: "Conflict", Detail: "There are no more events left to trigger."}.answer()
	}
	v.since = s.o.Now()
	s.advance(v)
	return jsonAnswer(http.StatusOK, struct{}{})
}

// checkCode compares a code. mu is held.
func (s *Server) checkCode(v *verification, code string) Answer {
	if !v.steps[v.at].hasCode() {
		return problem{Status: http.StatusConflict, Title: "Conflict", Detail: "The current Verify workflow step does not support a code."}.answer()
	}
	if code == v.code {
		s.finish(v)
		return jsonAnswer(http.StatusOK, map[string]string{"request_id": v.id, "status": "completed"})
	}
	v.wrong++
	if v.wrong < maxWrong {
		return problem{Status: http.StatusBadRequest, Type: "https://www.developer.vonage.com/api-errors/verify#invalid-code", Title: "Invalid Code",
			Detail: "The code you provided does not match the expected value."}.answer()
	}
	s.finish(v)
	return problem{Status: http.StatusGone, Type: "https://www.developer.vonage.com/api-errors/verify#expired", Title: "Invalid Code",
		Detail: "An incorrect code has been provided too many times. Workflow terminated."}.answer()
}

// Code returns the code of a verification, "" if there is no such.
func (s *Server) Code(requestID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.verifications[requestID]; v != nil {
		return v.code
	}
	return ""
}
