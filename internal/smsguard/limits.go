package smsguard

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/sms"
)

// Limit is how many SMS may be asked for in a window. The window begins with the first
// one.
type Limit struct {
	Max    int64
	Window time.Duration
}

// Scope says what a limit counts for.
type Scope string

// The scopes of limits, from the narrowest to the widest.
const (
	PerNumber  Scope = "number"  // the receiving number
	PerAccount Scope = "account" // the player's account
	PerAddress Scope = "address" // the client's address
	PerNetwork Scope = "network" // the /24 of an IPv4 address, the /56 of an IPv6 address
	PerBlock   Scope = "block"   // the number without its last four digits
	PerCountry Scope = "country" // the country or territory of the number
	PerAll     Scope = "all"     // the whole site
)

// own are the scopes that belong to whoever asks, and shared those in which players have
// part who have nothing to do with it.
var (
	own    = []Scope{PerNumber, PerAccount, PerAddress}
	shared = []Scope{PerNetwork, PerBlock, PerCountry, PerAll}
)

// Scopes returns all scopes, in the order in which they are counted.
func Scopes() []Scope { return slices.Concat(own, shared) }

// Limits are the limits of each scope; all of them must have room.
type Limits map[Scope][]Limit

// DefaultLimits returns the limits of design.md section 9.
//
// Those of a country and of the whole site are there for the flood that comes from
// everywhere at once and for sites that set no budget. A small site on a busy evening
// sends a few codes a minute and some hundreds a day, so 30 a minute and 3,000 a day
// for one country are far above it; at 0.04 a message they are 120 a day at the worst,
// where a flood without them would be limited by the provider only (30 a second). The
// whole site has twice as many a minute, for sites in several countries. A larger site
// raises them.
func DefaultLimits() Limits {
	const day = 24 * time.Hour
	return Limits{
		PerNumber:  {{5, time.Hour}, {10, day}},
		PerAccount: {{5, time.Hour}},
		PerAddress: {{10, time.Hour}},
		PerNetwork: {{30, time.Hour}},
		PerBlock:   {{10, 10 * time.Minute}},
		PerCountry: {{30, time.Minute}, {3000, day}},
		PerAll:     {{60, time.Minute}, {5000, day}},
	}
}

// maxWindow bounds what is counted over.
const maxWindow = 366 * 24 * time.Hour

func (l Limits) validate() error {
	for scope, limits := range l {
		if !slices.Contains(Scopes(), scope) {
			return fmt.Errorf("limit for each %q: want %s", string(scope), names())
		}
		seen := map[time.Duration]bool{}
		for _, limit := range limits {
			switch {
			case limit.Max < 1 || limit.Window < time.Second || limit.Window > maxWindow:
				return fmt.Errorf("limit of %d per %v for each %s: want at least 1, per 1s to %v", limit.Max, limit.Window, scope, maxWindow)
			case seen[limit.Window]:
				return fmt.Errorf("two limits per %v for each %s: write one of them", limit.Window, scope)
			}
			seen[limit.Window] = true
		}
	}
	return nil
}

func names() string {
	var all []string
	for _, s := range Scopes() {
		all = append(all, string(s))
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// byWindow returns a copy of the limits with the shortest window first.
func (l Limits) byWindow() Limits {
	sorted := Limits{}
	for scope, limits := range l {
		sorted[scope] = slices.SortedFunc(slices.Values(limits), func(a, b Limit) int { return cmp.Compare(a.Window, b.Window) })
	}
	return sorted
}

// of returns what is counted for a scope.
func (s Scope) of(w Want) string {
	e164 := w.To.E164()
	switch s {
	case PerNumber:
		return e164 + w.Lane
	case PerAccount:
		return w.Account + w.Lane
	case PerAddress:
		return AddressOf(w.Address)
	case PerNetwork:
		return NetworkOf(w.Address)
	case PerBlock:
		return e164[:max(0, len(e164)-4)] + w.Lane
	case PerCountry:
		return w.To.Region()
	default:
		return ""
	}
}

// AddressOf returns one spelling of an address. What is none, such as the peer of a
// unix socket, is counted as it stands, and is as good as an address of its own: nobody
// escapes a limit by having no address.
func AddressOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	return ip.Unmap().WithZone("").String()
}

// NetworkOf returns the network of an address. A /24 and a /56 are what one customer of
// a hosting company or of an access network can have addresses in.
func NetworkOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	bits := 56
	if ip.Is4() {
		bits = 24
	}
	network, err := ip.Prefix(bits)
	if err != nil {
		return address // unreachable
	}
	return network.String()
}

// prefixOf returns the beginning of a number for which conversion is watched, "+628123":
// country, network and a digit or two of the subscriber. It names nobody, so operators
// may read it.
func prefixOf(n sms.Number) string {
	e164 := n.E164()
	return e164[:min(len(e164), 1+prefixDigits)]
}

const prefixDigits = 6
