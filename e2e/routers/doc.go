// Package routers compares what Stepgate protects with what real routers do. It
// has no code of its own but its tests.
//
// Each router of folder apps, and those of Go in the test's own process, serves
// the same little site: four sensitive handlers, and one that answers everything
// else. A seeded generator respells requests for the sensitive ones in thousands
// of ways. Every spelling goes as raw bytes straight to the router, which shows
// what the router takes it for, and then through the built gateway, as a player
// who is logged in and has passed no challenge. No sensitive handler may run for
// what came through the gateway.
//
// That must be seen whatever the answers look like, and even if a request came
// that nobody sent in full. So handlers note each run in a file, with the number
// that the request carries.
//
// The short form is part of `make test`; `make routers` runs the long one and
// prints what each router made of the spellings.
package routers
