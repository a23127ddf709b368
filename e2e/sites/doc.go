// Package sites runs the example sites behind the built gateway, each with the
// Caddyfile that lies beside it, and plays on them. It has no code of its own but its
// tests.
//
// The sites differ in how they know their players: by pages alone, by a token, by an
// id that outlives logins. None of them knows of a gateway, and none is changed for
// these tests.
package sites
