// Package seal holds the key ring and everything that is done with its keys:
// deriving, hashing under a key, sealing what is stored.
//
// A ring has keys with ids, of which the current one signs and seals and all of
// them verify and open, so that a rotation drops nobody. Which is current goes by
// the clock: a new key is known to every node before any of them uses it. Each purpose gets a key
// of its own by HKDF (RFC 5869), so that what was made for one purpose is
// worthless for another. Beside the keys stands one lookup secret that never
// rotates: record keys and hashes that are compared for equality are made under
// it, or they could not be found again after a rotation.
//
// No key leaves the package in a log: a ring prints as its number of keys.
package seal
