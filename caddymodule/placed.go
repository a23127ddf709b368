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
	// errors says that it stands in handle_errors.
	errors bool
	module string
	raw    json.RawMessage
}

// guards reports whether whatever reaches p has passed the handler.
func (g *placed) guards(p *placed) bool {
	return g.server == p.server && g.order < p.order && len(g.chain) <= len(p.chain) && slices.Equal(g.chain, p.chain[:len(g.chain)])
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
	TrustedProxies json.RawMessage `json:"trusted_proxies"`
	Strict         int             `json:"trusted_proxies_strict"`
}

type layoutRoute struct {
	Match []struct {
		Host []string `json:"host"`
	} `json:"match"`
	Handle []json.RawMessage `json:"handle"`
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
		for _, match := range route.Match {
			if len(match.Host) > 0 {
				within.hosts = slices.Concat(within.hosts, match.Host)
			}
		}
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
		found = append(found, gated{placed: p, handler: h, site: &explain.Site{Hosts: p.hosts, Rules: rules}})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("the configuration has no step_up block: nothing is protected")
	}
	return found, nil
}
