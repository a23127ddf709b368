// Package explain tells an operator what the rules make of a request, and what
// they would have made of those in an access log. It prints nothing that a client
// wrote without quoting it: a log is full of what attackers send, and a terminal
// obeys escape sequences.
package explain
