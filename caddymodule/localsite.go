package caddymodule

import (
	"net"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// isLocal reports whether a server is for this machine only: its sites are, where all of
// them have names, and else the addresses on which it listens as well. One site without a
// name among others is there for whoever reaches the server.
func isLocal(s *caddyhttp.Server) bool {
	named := len(s.Routes) > 0
	for _, route := range s.Routes {
		hosts, always := hostsOf(route)
		named = named && always
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

// hostsOf returns the hosts that a route of a server is for, and whether it is for no
// other: each of its sets of matchers has to say so, since one is enough for a request.
func hostsOf(route caddyhttp.Route) (hosts []string, always bool) {
	always = len(route.MatcherSets) > 0
	for _, set := range route.MatcherSets {
		named := false
		for _, matcher := range set {
			if m, is := matcher.(*caddyhttp.MatchHost); is {
				hosts, named = append(hosts, *m...), true
			}
		}
		always = always && named
	}
	return hosts, always
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
