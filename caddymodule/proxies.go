package caddymodule

import (
	"reflect"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// proxyTrust is how a server of Caddy finds the address of a client that comes through
// a proxy.
type proxyTrust struct {
	listen []string
	// ranges says that trusted_proxies is set, unix and strict that trusted_proxies_unix
	// and trusted_proxies_strict are.
	ranges, unix, strict bool
}

// weakness says what makes the addresses worthless that limits count by, and what to
// write instead; empty if nothing does.
func (p proxyTrust) weakness() string {
	option := "trusted_proxies"
	if !p.ranges {
		option = "trusted_proxies_unix"
	}
	switch {
	case (p.ranges || p.unix) && !p.strict:
		return option + " without trusted_proxies_strict takes an address that the client chose, so that limits by address bind nobody: add trusted_proxies_strict"
	case !p.unix && slices.ContainsFunc(p.listen, isUnixSocket):
		return "clients that come over a unix socket have no address, so that all of them share one limit by address: add trusted_proxies_unix and trusted_proxies_strict"
	default:
		return ""
	}
}

// where names the server as an operator knows it.
func (p proxyTrust) where() string { return "the server at " + strings.Join(p.listen, ", ") }

func isUnixSocket(listen string) bool {
	address, err := caddy.ParseNetworkAddress(listen)
	return err == nil && address.IsUnixNetwork()
}

// trust is how a server of a configuration that is not loaded trusts proxies.
func (s *layoutServer) trust() proxyTrust {
	return proxyTrust{
		listen: s.Listen, unix: s.Unix, strict: s.Strict > 0,
		ranges: len(s.TrustedProxies) > 0 && string(s.TrustedProxies) != "null",
	}
}

// trustOf is how a server that is being loaded trusts proxies. By then Caddy has
// cleared the configuration of the ranges and keeps what it has made of it to itself.
// Where another version of Caddy keeps that elsewhere nothing is said at the start;
// `stepgate check` says it still.
func trustOf(s *caddyhttp.Server) proxyTrust {
	p := proxyTrust{listen: s.Listen, unix: s.TrustedProxiesUnix, strict: s.TrustedProxiesStrict > 0}
	if made := reflect.ValueOf(s).Elem().FieldByName("trustedProxies"); made.IsValid() && made.Kind() == reflect.Interface {
		p.ranges = !made.IsNil()
	}
	return p
}

// meetServer warns, once, of a server that a step_up stands in and that takes the wrong
// address for a client's. Handlers are provisioned one after the other.
func (a *App) meetServer(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server == nil || slices.Contains(a.servers, server) {
		return
	}
	a.servers = append(a.servers, server)
	if p := trustOf(server); p.weakness() != "" {
		a.logger.Warn("CLIENT ADDRESSES: "+p.weakness(), zap.Strings("listen", p.listen))
	}
}
