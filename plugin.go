// Package stepgate plugs Stepgate into a build of Caddy:
//
//	xcaddy build --with github.com/stepgate/stepgate
//
// It has nothing else; package caddymodule registers the modules.
package stepgate

import _ "github.com/stepgate/stepgate/caddymodule" // registers Stepgate's modules
