// Command stepgate is Caddy with Stepgate in it: Caddy's own command line, its
// standard modules, and the step-up authentication gateway.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	_ "time/tzdata" // time zones of brands, where the system has none

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/stepgate/stepgate/caddymodule"
)

func init() {
	caddy.CustomBinaryName = "stepgate"
	caddy.CustomLongDescription = `Stepgate holds the few requests to a site that can hurt a player behind a second
factor, and lets each through once the player has answered. It is Caddy with
Stepgate's modules in it: everything that Caddy does, it does too.`
	// Release builds set the version at link time.
	if caddy.CustomVersion == "" {
		caddy.CustomVersion = "stepgate-" + moduleVersion()
	}
}

// moduleVersion returns the version that this binary was built from.
func moduleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// rebuilds are Caddy's commands that replace the binary by another build of Caddy.
// That build would not have this main package, and they crash when they look for
// the modules in it.
var rebuilds = []string{"add-package", "remove-package", "upgrade"}

// gcPercent lets the heap grow to three times what is live before it is collected,
// where Go's own 100 lets it grow to twice. What is live is small, and half of it
// are the tables of the world's phone numbers: some 28,000 objects that every
// collection looks at, which at 100 cost each request of the site, protected or
// not, 2 to 4 % of its CPU time. The price is about 10 MiB.
const gcPercent = 200

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if len(os.Args) > 1 && slices.Contains(rebuilds, os.Args[1]) {
		fmt.Fprintf(os.Stderr, "stepgate: %s is for builds of Caddy itself.\n"+
			"Install the new release, or build with your own modules: xcaddy build --with github.com/stepgate/stepgate\n", os.Args[1])
		os.Exit(caddy.ExitCodeFailedStartup)
	}
	caddycmd.Main()
}
