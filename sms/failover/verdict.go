package failover

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/sms"
)

// weights lists the classes by their weight in a verdict of more than one attempt, from
// the lightest. See [Router.Send].
var weights = []sms.Class{sms.BadRequest, sms.Account, sms.NotSent, sms.Policy, sms.BadNumber, sms.Unknown}

// verdict is what has come of a message that nobody has accepted yet.
type verdict struct {
	attempts int
	// ended says that no other provider may get the message.
	ended bool
	// weight is that of the class so far, an index of weights.
	weight int
	causes causes
}

// add adds an attempt that failed.
func (v *verdict) add(provider string, err error) {
	class, cause := sms.ClassOf(err), err
	if e, ok := errors.AsType[*sms.Error](err); ok {
		cause = e.Err
	}
	v.attempts++
	v.ended = class == sms.BadNumber || class == sms.Policy
	v.weigh(class, fmt.Errorf("%s: %s: %w", provider, class, cause))
}

// skip adds a provider that was not handed the message.
func (v *verdict) skip(provider string, err error) {
	v.weigh(sms.NotSent, fmt.Errorf("%s: %w", provider, err))
}

// end ends the sending for a reason that is no provider's.
func (v *verdict) end(err error) {
	v.ended = true
	v.weigh(sms.NotSent, err)
}

func (v *verdict) weigh(class sms.Class, cause error) {
	v.weight = max(v.weight, slices.Index(weights, class))
	v.causes = append(v.causes, cause)
}

// err returns the verdict as an error.
func (v *verdict) err() error {
	var cause error = v.causes
	if v.attempts == 0 && !v.ended {
		cause = fmt.Errorf("%w: %w", sms.ErrUnavailable, v.causes)
	}
	return &sms.Error{Class: weights[v.weight], Err: cause}
}

// causes are several errors on one line.
type causes []error

func (c causes) Error() string {
	texts := make([]string, len(c))
	for i, err := range c {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (c causes) Unwrap() []error { return c }
