package vonagetest

import (
	"encoding/json"
	"net/http"
	"time"
)

// smsOptions are the fields of "sms" in a message.
var smsOptions = []field{
	{"encoding_type", false, oneOf("text", "unicode", "auto")},
	{"content_id", false, length(1, 100)},
	{"entity_id", false, length(1, 100)},
}

// messageFields are the fields of a text message over SMS.
var messageFields = []field{
	{"channel", true, oneOf("sms")},
	{"message_type", true, oneOf("text")},
	{"to", true, pattern(recipientForm)},
	{"from", true, pattern(senderForm)},
	{"text", true, length(1, 1000)},
	{"client_ref", false, length(1, 100)},
	{"webhook_url", false, address},
	{"webhook_version", false, oneOf("v0.1", "v1")},
	// Seconds. No range is documented; it is assumed to be that of the SMS API.
	{"ttl", false, between(20, 604_800)},
	// What is to be sent instead is taken, and never sent: the first message arrives.
	{"failover", false, func(v any) string {
		if list, ok := v.([]any); !ok || len(list) == 0 {
			return "must be a list of messages."
		}
		return ""
	}},
	{"sms", false, func(v any) string {
		options, ok := v.(map[string]any)
		if faults := check(options, smsOptions); !ok || len(faults) > 0 {
			return "has an invalid value."
		}
		return ""
	}},
}

// messageProblem returns the error of a message with faults: a few fields have one of
// their own.
func messageProblem(faults []fault) problem {
	for _, f := range faults {
		if f.Reason == "is required." {
			continue
		}
		switch f.Name {
		case "channel":
			return unsupportedChannel
		case "to":
			return invalidRecipient
		case "from":
			return invalidSender
		case "client_ref":
			return invalidClientRef
		}
	}
	p := invalidParams
	p.Parameter = faults
	return p
}

// sendMessage answers POST /v1/messages.
func (s *Server) sendMessage(c *call) Answer {
	if !s.authenticate(c) {
		return badCredentials.answer()
	}
	if s.throttled() {
		return rateLimit.answer()
	}
	if c.object == nil {
		return invalidJSON.answer()
	}
	if faults := check(c.object, messageFields); len(faults) > 0 {
		return messageProblem(faults).answer()
	}
	if httpStatus, variant := magic(c.To); httpStatus != 0 {
		return problemOf(httpStatus, variant).answer()
	}
	m := s.acceptMessage(c.object)
	c.accepted = &m
	return jsonAnswer(http.StatusAccepted, map[string]string{"message_uuid": m.ID})
}

func (s *Server) acceptMessage(object map[string]any) Message {
	options, _ := object["sms"].(map[string]any)
	ttl, _ := object["ttl"].(json.Number)
	seconds, _ := ttl.Int64() // checked; 0 where there is none
	m := Message{
		API: Messages, ID: uuid(), Channel: "sms", To: text(object["to"]), From: text(object["from"]), ClientRef: text(object["client_ref"]),
		TTL: time.Duration(seconds) * time.Second, Callback: text(object["webhook_url"]), At: s.o.Now(),
	}
	m.IDs = []string{m.ID}
	switch text(options["encoding_type"]) {
	case "unicode":
		m.Unicode = true
	case "text":
	default:
		m.Unicode = needsUnicode(text(object["text"]))
	}
	m.Text, m.Parts = encode(text(object["text"]), m.Unicode)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliver(m)
	return m
}
