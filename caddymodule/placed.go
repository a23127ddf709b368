package caddymodule

import (
	"encoding/json"
	"fmt"
	"slices"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/stepgate/stepgate/internal/explain"
)

// placed is a handler where it stands in a configuration.
type placed struct {
	server string
	// hosts are those that lead to it; none means all.
	hosts []string
	// chain numbers the routes and subroutes that it stands in, from the outermost, and
	// order its place in the server.
	chain []int
	order int
	// matched says that a matcher other than of hosts may lead past it.
	matched bool
	// errors says that it stands in handle_errors.
	errors bool
	module string
	raw    json.RawMessage
}

// guards reports whether whatever reaches p has come to the handler before.
func (h *placed) guards(p *placed) bool {
	return h.server == p.server && h.order < p.order && len(h.chain) <= len(p.chain) && slices.Equal(h.chain, p.chain[:len(h.chain)])
}

// layout is what a configuration does with requests, in the order in which it does
// it.
type layout struct {
	handlers []placed
	servers  map[string]layoutServer
}

type layoutServer struct {
	Routes []layoutRoute `json:"routes"`
	Errors struct {
		Routes []layoutRoute `json:"routes"`
	} `json:"errors"`
	Listen         []string        `json:"listen"`
	TrustedProxies json.RawMessage `json:"trusted_proxies"`
	Unix           bool            `json:"trusted_proxies_unix"`
	Strict         int             `json:"trusted_proxies_strict"`
}

type layoutRoute struct {
	Match    []map[string]json.RawMessage `json:"match"`
	Handle   []json.RawMessage            `json:"handle"`
	Terminal bool                         `json:"terminal"`
}

// hosts returns the hosts that a route is for, and whether it asks for more.
func (r *layoutRoute) hosts() (hosts []string, more bool, err error) {
	for _, set := range r.Match {
		for name, raw := range set {
			if name != "host" {
				more = true
				continue
			}
			var listed []string
			if err := json.Unmarshal(raw, &listed); err != nil {
				return nil, false, fmt.Errorf("reading a matcher of hosts: %w", err)
			}
			hosts = append(hosts, listed...)
		}
	}
	return hosts, more, nil
}

// readLayout reads a configuration, without loading it: the gateway may be running.
func readLayout(file, adapter string) (*layout, error) {
	raw, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, err
	}
	var c struct {
		Apps struct {
			HTTP struct {
				Servers map[string]layoutServer `json:"servers"`
			} `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	l := &layout{servers: c.Apps.HTTP.Servers}
	for name, server := range l.servers {
		order := 0
		for i, route := range server.Routes {
			if err := l.walk(placed{server: name, chain: []int{i}}, []layoutRoute{route}, &order); err != nil {
				return nil, err
			}
		}
		if err := l.walk(placed{server: name, chain: []int{-1}, errors: true}, server.Errors.Routes, &order); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// walk notes the handlers of routes, which stand where at says.
func (l *layout) walk(at placed, routes []layoutRoute, order *int) error {
	for _, route := range routes {
		within := at
		hosts, more, err := route.hosts()
		if err != nil {
			return err
		}
		if len(hosts) > 0 {
			within.hosts = hosts // of an inner route they are fewer
		}
		within.matched = within.matched || more
		for _, raw := range route.Handle {
			var module struct {
				Handler string        `json:"handler"`
				Routes  []layoutRoute `json:"routes"`
			}
			if err := json.Unmarshal(raw, &module); err != nil {
				return fmt.Errorf("reading a handler: %w", err)
			}
			within.module, within.raw, within.order = module.Handler, raw, *order
			*order++
			l.handlers = append(l.handlers, within)
			inner := within
			inner.chain = append(slices.Clip(within.chain), within.order)
			if err := l.walk(inner, module.Routes, order); err != nil {
				return err
			}
		}
	}
	return nil
}

// gated is a step_up block with its rules.
type gated struct {
	placed
	handler *StepUp
	site    *explain.Site
	// shut is the handler that answers every request before it, or empty.
	shut string
}

// before returns the hosts that routes of the server take away before one that a
// handler stands in.
func (l *layout) before(p *placed) ([]string, error) {
	var taken []string
	routes := l.servers[p.server].Routes
	for i := 0; !p.errors && i < p.chain[0] && i < len(routes); i++ {
		hosts, more, err := routes[i].hosts()
		if err != nil {
			return nil, err
		}
		if routes[i].Terminal && !more {
			taken = append(taken, hosts...)
		}
	}
	return taken, nil
}

// shutBy returns the handler that answers whatever would reach p, before it does.
func (l *layout) shutBy(p *placed) string {
	for i := range l.handlers {
		if other := &l.handlers[i]; slices.Contains(answering, other.module) && !other.matched && other.guards(p) {
			return other.module
		}
	}
	return ""
}

// readGates reads a configuration and the step_up blocks in it.
func readGates(file, adapter string) (*layout, []gated, error) {
	l, err := readLayout(file, adapter)
	if err != nil {
		return nil, nil, err
	}
	gates, err := l.gates()
	return l, gates, err
}

// gates returns the step_up blocks of a configuration, with their rules compiled.
func (l *layout) gates() ([]gated, error) {
	var found []gated
	for _, p := range l.handlers {
		if p.module != directive {
			continue
		}
		h := new(StepUp)
		if err := json.Unmarshal(p.raw, h); err != nil {
			return nil, fmt.Errorf("reading step_up: %w", err)
		}
		rules, err := h.compileRules()
		if err != nil {
			return nil, err
		}
		before, err := l.before(&p)
		if err != nil {
			return nil, err
		}
		site := &explain.Site{Hosts: p.hosts, Not: before, Rules: rules, MaxBody: h.MaxBody, Prefix: h.prefix(), Settings: h.Settings}
		found = append(found, gated{placed: p, handler: h, site: site, shut: l.shutBy(&p)})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("the configuration has no step_up block: nothing is protected")
	}
	return found, nil
}
