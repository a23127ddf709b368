package caddymodule

import (
	"net"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// isLocal reports whether a server is for this machine only: its sites are, where they
// have names, and else the addresses on which it listens.
func isLocal(s *caddyhttp.Server) bool {
	named := false
	for _, route := range s.Routes {
		hosts, ok := hostsOf(route)
		named = named || ok
		for _, host := range hosts {
			if !isLoopback(host) {
				return false
			}
		}
	}
	if named {
		return true
	}
	for _, listen := range s.Listen {
		address, err := caddy.ParseNetworkAddress(listen)
		if err != nil || !address.IsUnixNetwork() && !isLoopback(address.Host) {
			return false
		}
	}
	return len(s.Listen) > 0
}

// hostsOf returns the hosts that a route of a server is for, and whether it says so.
func hostsOf(route caddyhttp.Route) (hosts []string, ok bool) {
	for _, set := range route.MatcherSets {
		for _, matcher := range set {
			if m, is := matcher.(*caddyhttp.MatchHost); is {
				hosts, ok = append(hosts, *m...), true
			}
		}
	}
	return hosts, ok
}

// isLoopback reports whether a host is this machine, by name or address (RFC 6761
// section 6.3).
func isLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}
