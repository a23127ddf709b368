package vonagetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Shape is how a receipt of the SMS API is written; an account has one.
type Shape string

// The shapes.
const (
	JSON  Shape = "json"
	Form  Shape = "form"
	Query Shape = "query"
)

// Report is what a callback says of a message.
type Report struct {
	// Status is a word of the API: "delivered", "failed", "rejected" of the SMS API,
	// "submitted", "undeliverable" of Messages, "completed", "blocked" of Verify.
	Status string
	// Code is the err-code of the SMS API, "0" if empty; or the code of Messages' error,
	// "1180", none if empty.
	Code string
	// Part counts the parts of the SMS API from 0: each has a receipt of its own.
	Part int
	// Summary makes a callback of Verify tell of the whole workflow, not of one step.
	Summary bool
	// Unsigned leaves the signature out, as a fault of Vonage's may.
	Unsigned bool
}

// Delivery is what became of a callback.
type Delivery struct {
	Message Message
	Report  Report
	// Status is the answer's, 0 if there was none and Err says why.
	Status int
	Err    error
}

// Deliveries returns all tries of all callbacks so far, in the order in which they ended.
func (s *Server) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.deliveries)
}

var errNoAddress = errors.New("neither the message nor the account has an address for callbacks")

// Callback returns the request that reports on a message, for tests that send it
// themselves, or change it.
func (s *Server) Callback(m Message, r Report) (*http.Request, error) {
	target := m.Callback
	if target == "" {
		target = map[API]string{SMS: s.o.ReceiptURL, Messages: s.o.StatusURL, Verify: s.o.VerifyURL}[m.API]
	}
	if target == "" {
		return nil, errNoAddress
	}
	if m.API == SMS {
		return s.receipt(target, m, r)
	}
	body, err := json.Marshal(s.status(m, r))
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if !r.Unsigned {
		request.Header.Set("Authorization", "Bearer "+s.callbackToken(body))
	}
	return request, nil
}

// receipt returns a delivery receipt of the SMS API.
func (s *Server) receipt(target string, m Message, r Report) (*http.Request, error) {
	now := s.o.Now().UTC()
	params := map[string]string{
		"msisdn": m.To, "to": m.From, "network-code": network, "messageId": m.IDs[r.Part], "price": price, "status": r.Status,
		"scts": now.Format("0601021504"), "err-code": r.Code, "api-key": s.o.Key, "message-timestamp": now.Format(time.DateTime),
	}
	if r.Code == "" {
		params["err-code"] = "0"
	}
	if m.ClientRef != "" {
		params["client-ref"] = m.ClientRef
	}
	if s.o.SignReceipts && !r.Unsigned {
		params["timestamp"], params["nonce"] = strconv.FormatInt(now.Unix(), 10), uuid()
		params["sig"] = strings.ToUpper(Sign(s.o.Signature, s.o.SignatureSecret, params))
	}
	values := url.Values{}
	for name, v := range params {
		values.Set(name, v)
	}
	method, contentType, body := http.MethodPost, "application/json", ""
	switch s.o.ReceiptShape {
	case Query:
		separator := "?"
		if strings.Contains(target, "?") {
			separator = "&"
		}
		method, contentType, target = http.MethodGet, "", target+separator+values.Encode()
	case Form:
		contentType, body = "application/x-www-form-urlencoded", values.Encode()
	default:
		b, err := json.Marshal(params)
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	request, err := http.NewRequest(method, target, strings.NewReader(body))
	if err == nil && contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return request, err
}

type statusError struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
}

// status returns the body of a callback of Messages or Verify.
func (s *Server) status(m Message, r Report) any {
	now := s.o.Now().UTC()
	if m.API == Verify {
		return s.verifyStatus(m, r, now)
	}
	var e *statusError
	if r.Code != "" {
		e = &statusError{"https://developer.vonage.com/api-errors/messages#" + r.Code, r.Code, "The message has the error " + r.Code + ".", randomHex(16)}
	}
	return struct {
		ID          string            `json:"message_uuid"`
		To          string            `json:"to"`
		From        string            `json:"from"`
		At          string            `json:"timestamp"`
		Status      string            `json:"status"`
		Error       *statusError      `json:"error,omitempty"`
		ClientRef   string            `json:"client_ref,omitempty"`
		Usage       map[string]string `json:"usage"`
		Channel     string            `json:"channel"`
		Destination map[string]string `json:"destination"`
		SMS         map[string]string `json:"sms"`
	}{
		m.ID, m.To, m.From, now.Format(time.RFC3339), r.Status, e, m.ClientRef, map[string]string{"currency": "EUR", "price": "0.0333"}, m.Channel,
		map[string]string{"network_code": network}, map[string]string{"count_total": strconv.Itoa(m.Parts)},
	}
}

func (s *Server) verifyStatus(m Message, r Report, now time.Time) any {
	const form = "2006-01-02T15:04:05.000Z"
	sent := m.At.UTC().Format(form)
	if !r.Summary {
		return struct {
			ID        string `json:"request_id"`
			Triggered string `json:"triggered_at"`
			Type      string `json:"type"`
			Channel   string `json:"channel"`
			Status    string `json:"status"`
			Finalized string `json:"finalized_at"`
			ClientRef string `json:"client_ref,omitempty"`
		}{m.ID, sent, "event", m.Channel, r.Status, now.Format(form), m.ClientRef}
	}
	type one struct {
		Channel   string `json:"channel"`
		Initiated string `json:"initiated_at"`
		Status    string `json:"status"`
	}
	return struct {
		ID        string `json:"request_id"`
		Submitted string `json:"submitted_at"`
		Status    string `json:"status"`
		Type      string `json:"type"`
		Timeout   int    `json:"channel_timeout"`
		Workflow  []one  `json:"workflow"`
		Price     string `json:"price"`
		ClientRef string `json:"client_ref,omitempty"`
	}{m.ID, sent, r.Status, "summary", s.stepSeconds(m.ID), []one{{m.Channel, sent, r.Status}}, "0.10000000", m.ClientRef}
}

func (s *Server) stepSeconds(requestID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.verifications[requestID]; v != nil {
		return int(v.stepTime / time.Second)
	}
	return int(defaultStepTime / time.Second)
}

// Report sends one callback, once, and returns the status of the answer.
func (s *Server) Report(ctx context.Context, m Message, r Report) (int, error) {
	d := Delivery{Message: m, Report: r}
	d.Status, d.Err = s.post(ctx, m, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliveries = append(s.deliveries, d)
	s.change()
	return d.Status, d.Err
}

func (s *Server) post(ctx context.Context, m Message, r Report) (int, error) {
	request, err := s.Callback(m, r)
	if err != nil {
		return 0, err
	}
	client := http.Client{
		Transport:     s.o.Transport,
		Timeout:       15 * time.Second, // what Vonage gives an answer
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request.WithContext(ctx))
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxBody)) // only the status counts
	return answer.StatusCode, answer.Body.Close()
}

// Flood sends the same callback n times, many at once, and returns how often each status
// was answered; 0 is for no answer.
func (s *Server) Flood(ctx context.Context, m Message, r Report, n int) map[int]int {
	const atOnce = 16
	var (
		mu       sync.Mutex // guards statuses
		statuses = map[int]int{}
		group    sync.WaitGroup
		turns    = make(chan struct{}, atOnce)
	)
	for range n {
		turns <- struct{}{}
		group.Go(func() {
			defer func() { <-turns }()
			status, _ := s.Report(ctx, m, r) // recorded as a delivery
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
	group.Wait()
	return statuses
}

// The times between the tries of one callback: Vonage doubles the first until the last,
// and gives up after a day. Those of receipts stay the same, for three days.
const (
	firstRetry, lastRetry, retries  = 5 * time.Second, 15 * time.Minute, 24 * time.Hour
	receiptRetry, receiptRetriesFor = time.Minute, 72 * time.Hour
)

// begin announces callbacks before the answer that they follow, so that who has the
// answer can wait for them. It is false when the server is closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.busy++
	return true
}

// reportLater sends the callbacks that begin announced, one after the other, each until
// it is taken.
func (s *Server) reportLater(m Message, reports []Report) {
	go func() {
		for _, r := range reports {
			s.persist(m, r)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy--
		s.change()
	}()
}

func (s *Server) persist(m Message, r Report) {
	pause, longest, total := firstRetry, lastRetry, retries
	if m.API == SMS {
		pause, longest, total = receiptRetry, receiptRetry, receiptRetriesFor
	}
	for waited := time.Duration(0); ; pause = min(2*pause, longest) {
		status, err := s.Report(s.ctx, m, r)
		if errors.Is(err, errNoAddress) || err == nil && status != http.StatusTooManyRequests && status < 500 {
			return
		}
		if waited += pause; waited > total || s.o.Wait(s.ctx, pause) != nil {
			return
		}
	}
}

// Settle waits until no callback is under way any more, nor one to come after an answer
// that is being given.
func (s *Server) Settle(ctx context.Context) error {
	return s.until(ctx, func() bool { return s.busy == 0 })
}
