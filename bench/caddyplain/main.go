// Command caddyplain is Caddy with its standard modules and nothing else, built
// from the module versions that Stepgate is built from: what every figure of the
// comparison is measured against.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
