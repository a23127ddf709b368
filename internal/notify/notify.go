// Package notify tells the operator's own systems what a player is to be told of.
package notify

import "time"

// Notice is one notice.
type Notice struct {
	ID                    string
	At                    time.Time
	Kind                  string
	Subject, Login, Email string
	Link                  string
}
