package account

import (
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/policy"
)

// Trusted devices; design.md section 9.
const (
	// TrustLifetime is how long a browser is trusted, unless the operator says otherwise.
	TrustLifetime = 30 * 24 * time.Hour
	// MaxDevices is how many browsers an account trusts; the oldest gives way.
	MaxDevices = 10
)

// Client is where somebody was, in words that a player understands. It is what the
// browser says of itself and proves nothing.
type Client struct {
	// Browser and System are proper names, "Chrome" and "Android"; each may be empty.
	Browser string `json:"browser,omitempty"`
	System  string `json:"system,omitempty"`
	// Address is the client's address, or empty.
	Address string `json:"address,omitempty"`
}

// Device is a browser that the player trusts: it has passed a challenge, and its
// owner has said so. It has budgets of its own, and counts as no factor (NIST SP
// 800-63B-4 section 5.1).
type Device struct {
	// ID is the keyed hash of a secret that the browser was given for this account when
	// it became trusted, and that it shows beside its session.
	ID     string    `json:"id"`
	Client Client    `json:"client"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	// Failures are what was spent in this browser.
	Failures map[policy.Factor]*Failures `json:"failures,omitempty"`
}

// Trust is what an answer says of the browser that it comes from: that it becomes a
// trusted device under the keyed hash of a new secret, for so long. The zero value says
// nothing.
//
// The secret has to be new. One that a browser had before may have been put there by
// somebody who has it too, and who waits for the player to trust it.
type Trust struct {
	Device string
	For    time.Duration
}

// Device returns the trusted device of a keyed hash, or nil.
func (a *Account) Device(id string) *Device {
	if id == "" {
		return nil
	}
	for i := range a.Devices {
		if a.Devices[i].ID == id {
			return &a.Devices[i]
		}
	}
	return nil
}

// Trusts reports whether the account trusts a device now. While it is frozen only those
// from before the change that was objected to count.
func (a *Account) Trusts(device string) bool {
	d := a.Device(device)
	return d != nil && a.counts(d.Since)
}

// trust makes a browser a trusted device, or renews the one that it was, and reports
// whether it is a new one.
func (a *Account) trust(was string, t Trust, c Client, now time.Time) bool {
	if d := a.Device(was); d != nil {
		d.ID, d.Client, d.Until = strings.Clone(t.Device), c, now.Add(t.For)
		return false
	}
	if len(a.Devices) >= MaxDevices {
		oldest := 0
		for i, d := range a.Devices {
			if d.Until.Before(a.Devices[oldest].Until) {
				oldest = i
			}
		}
		a.Devices = slices.Delete(a.Devices, oldest, oldest+1)
	}
	a.Devices = append(a.Devices, Device{ID: strings.Clone(t.Device), Client: c, Since: now, Until: now.Add(t.For)})
	return true
}
