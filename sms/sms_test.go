package sms

import (
	"errors"
	"fmt"
	"testing"
)

// Whatever is not known for certain not to have been sent may have been.
func TestWhatHasNoClassIsUnknown(t *testing.T) {
	cause := errors.New("as told")
	for _, c := range []struct {
		err  error
		want Class
	}{
		{&Error{NotSent, cause}, NotSent},
		{&Error{Policy, cause}, Policy},
		{fmt.Errorf("main: %w", &Error{BadNumber, cause}), BadNumber},
		{&Error{Unknown, cause}, Unknown},
		{&Error{Policy + 1, cause}, Unknown},
		{&Error{-1, cause}, Unknown},
		{cause, Unknown},
	} {
		if got := ClassOf(c.err); got != c.want {
			t.Errorf("ClassOf(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}
