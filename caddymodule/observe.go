package caddymodule

import (
	"errors"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms/failover"
)

// events counts what happens. It belongs to the process, because each
// configuration has its own registry and the counts go on over a reload.
var events = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "stepgate",
	Name:      "events_total",
	Help:      "What happened to requests, challenges and enrolments, by rule and factor.",
}, []string{"event", "rule", "factor"})

// counters are the counters of events by their labels.
var counters eventCounters

// eventLabels are the labels of one counter. Their values are few: names of events
// and factors are fixed, and rules are the operator's.
type eventLabels struct {
	event  audit.Name
	rule   string
	factor string
}

// eventCounters remembers each counter of events, which its vector takes five times
// as long to find. What is remembered is replaced and never changed, so that
// requests read it without a lock.
type eventCounters struct {
	mu    sync.Mutex // guards replacing known
	known atomic.Pointer[map[eventLabels]prometheus.Counter]
}

func (c *eventCounters) of(l eventLabels) prometheus.Counter {
	if known := c.known.Load(); known != nil {
		if counter, ok := (*known)[l]; ok {
			return counter
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	more := map[eventLabels]prometheus.Counter{}
	if known := c.known.Load(); known != nil {
		maps.Copy(more, *known)
	}
	counter := events.WithLabelValues(string(l.event), l.rule, l.factor)
	more[l] = counter
	c.known.Store(&more)
	return counter
}

// messages counts what happens to SMS. Reasons are few: classes, limits, states and
// alerts have fixed names.
var messages = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "stepgate",
	Name:      "sms_total",
	Help:      "What happened to SMS, by provider and reason.",
}, []string{"event", "provider", "reason"})

// count counts an event.
func count(e audit.Event) {
	if e.OfSMS() {
		messages.WithLabelValues(string(e.Name), e.Provider, e.Reason).Inc()
		return
	}
	counters.of(eventLabels{e.Name, e.Rule, factorLabel(e.Factor)}).Inc()
}

// registerMetrics makes the counters known to a configuration's registry. The
// handlers of one configuration share the registry.
func registerMetrics(registry *prometheus.Registry) error {
	for _, vec := range []*prometheus.CounterVec{events, messages} {
		err := registry.Register(vec)
		if _, known := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !known {
			return err
		}
	}
	return nil
}

// observe reports an event of the gate to the audit log, the metrics and the
// access log. None of them gets more than the event has, and an event has no
// secret (invariant I8).
func (a *App) observe(r *http.Request, e audit.Event) {
	count(e)

	level := zapcore.InfoLevel
	if e.Name == audit.RequestGranted {
		// The ordinary case, as often as the route is used.
		level = zapcore.DebugLevel
	}
	if e.Name == audit.SMSAlert || e.Name == audit.SMSProvider {
		// Somebody has to look at it.
		level = zapcore.WarnLevel
	}
	if entry := a.audit.Check(level, "step-up"); entry != nil {
		fields := eventFields(e)
		if r != nil {
			fields = append(fields, zap.String("client_ip", clientIP(r)))
		}
		entry.Write(fields...)
	}
	if r == nil {
		return
	}
	// Without an access log nobody reads the fields, and setting them costs more than
	// the rest of this function.
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server == nil || server.Logs == nil {
		return
	}
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.String("step_up_outcome", string(e.Name)))
		if e.Rule != "" {
			extra.Set(zap.String("step_up_rule", e.Rule))
		}
		if e.Challenge != "" {
			extra.Set(zap.String("step_up_challenge", e.Challenge))
		}
	}
}

// failed reports why a request was answered 503, or a player was not told.
func (a *App) failed(r *http.Request, err error) {
	fields := []zap.Field{zap.Error(err)}
	if r != nil {
		fields = append(fields, zap.String("client_ip", clientIP(r)))
	}
	a.logger.Error("what a protected request depends on failed", fields...)
}

// eventFields returns the fields of an event that are set.
func eventFields(e audit.Event) []zap.Field {
	fields := []zap.Field{zap.String("event", string(e.Name))}
	for _, f := range []struct{ key, value string }{
		{"subject", e.Subject}, {"challenge", e.Challenge}, {"rule", e.Rule}, {"factor", e.Factor}, {"reason", e.Reason}, {"provider", e.Provider}, {"note", e.Note},
	} {
		if f.value != "" {
			fields = append(fields, zap.String(f.key, f.value))
		}
	}
	return fields
}

// factorLabel keeps the label's values few whatever a client sends as factor.
func factorLabel(factor string) string {
	switch f := policy.Factor(factor); f {
	case "", audit.ByIssuer, policy.TOTP, policy.SMS, policy.RecoveryKey:
		return factor
	default:
		return "other"
	}
}

// providerEvent reports that an SMS provider is left out, or back.
func (a *App) providerEvent(provider string, e failover.Event, err error) {
	event := audit.Event{Name: audit.SMSProvider, At: time.Now(), Factor: string(policy.SMS), Provider: provider, Reason: e.String()}
	if err != nil {
		event.Note = err.Error()
	}
	a.observe(nil, event)
}
