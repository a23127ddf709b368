package smsguard

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Config says what is allowed. The zero value has the default limits, no budget, and
// the default conversion monitor.
type Config struct {
	// Limits bound how many messages are asked for. Nil means DefaultLimits; a scope that
	// is not there has none.
	Limits Limits
	// Denied are prefixes of numbers that get no message, in E.164 with "+", beside those
	// that [sms.Numbering] refuses.
	Denied []string
	// Budgets bound what is spent; all of them must have room. They need a Price.
	Budgets []Budget
	// Price is what one message costs at the dearest provider.
	Price Money
	// Conversion watches how many codes are typed in.
	Conversion Conversion
	// Report is the mode in which nothing is refused, and verdicts say what would be.
	Report bool

	// Now is the clock; the store's must be the same. Default time.Now.
	Now func() time.Time
	// Rand is what records are sealed with. Default crypto/rand.Reader.
	Rand io.Reader
}

// Budget is how much may be spent in any stretch of time as long as Window.
type Budget struct {
	Max    Money
	Window time.Duration
}

// Conversion watches which share of the codes that were sent is typed in, for each
// provider and each prefix of six digits. Codes that nobody types in are codes that
// nobody reads: messages that do not arrive, or numbers whose owner lives on being sent
// messages. A zero field has its default.
type Conversion struct {
	// Window is the time over which it is computed. Default 15m.
	Window time.Duration
	// Grace is how long a player has to read and type a code. Messages younger than that
	// do not count yet, or the first busy minute of an evening would look like a fraud.
	// Default 2m.
	Grace time.Duration
	// MinSends is how many messages it takes to tell. Default 30.
	MinSends int64
	// WarnBelow and StopBelow are percentages: below the one the operator is warned, below
	// the other messages stop. Defaults 30 and 10; -1 means never.
	WarnBelow, StopBelow int
	// StopFor is how long they stop. Default 1h.
	StopFor time.Duration
	// Off switches all of it off. DANGER: what remains against messages to numbers whose
	// owner earns on them are the limits and the budget.
	Off bool
}

// The defaults of Conversion.
const (
	DefaultConversionWindow = 15 * time.Minute
	DefaultGrace            = 2 * time.Minute
	DefaultMinSends         = 30
	DefaultWarnBelow        = 30
	DefaultStopBelow        = 10
	DefaultStopFor          = time.Hour
)

// Validate reports what is wrong with a configuration, and what to write instead.
func (c *Config) Validate() error {
	if err := c.Limits.validate(); err != nil {
		return err
	}
	for _, prefix := range c.Denied {
		digits, plus := strings.CutPrefix(prefix, "+")
		if !plus || !isDigits(digits) || digits[0] == '0' || len(digits) > 15 {
			return fmt.Errorf("denied prefix %q: write it with + and country code, digits only, such as +62868", clip(prefix))
		}
	}
	if err := c.validateBudgets(); err != nil {
		return err
	}
	return c.Conversion.withDefaults().validate()
}

func (c *Config) validateBudgets() error {
	if c.Price < 0 || c.Price > MaxMoney {
		return fmt.Errorf("price %v: %w", c.Price, errMoney)
	}
	if len(c.Budgets) > 0 && c.Price == 0 {
		return errors.New("a budget without the price of a message: write what one costs at the dearest provider, such as 0.04")
	}
	seen := map[time.Duration]bool{}
	for _, b := range c.Budgets {
		switch {
		case b.Window < time.Minute || b.Window > maxWindow:
			return fmt.Errorf("budget of %v per %v: want it per 1m to %v", b.Max, b.Window, maxWindow)
		case b.Window%time.Second != 0:
			return fmt.Errorf("budget of %v per %v: want whole seconds", b.Max, b.Window)
		case b.Max < c.Price:
			return fmt.Errorf("budget of %v per %v: not one message at %v fits into it: write a larger one", b.Max, b.Window, c.Price)
		case b.Max > MaxMoney:
			return fmt.Errorf("budget of %v: %w", b.Max, errMoney)
		case seen[b.Window]:
			return fmt.Errorf("two budgets per %v: write one of them", b.Window)
		}
		seen[b.Window] = true
	}
	return nil
}

func (c Conversion) withDefaults() Conversion {
	if c.Window == 0 {
		c.Window = DefaultConversionWindow
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.MinSends == 0 {
		c.MinSends = DefaultMinSends
	}
	if c.WarnBelow == 0 {
		c.WarnBelow = DefaultWarnBelow
	}
	if c.StopBelow == 0 {
		c.StopBelow = DefaultStopBelow
	}
	if c.StopFor == 0 {
		c.StopFor = DefaultStopFor
	}
	return c
}

func (c Conversion) validate() error {
	switch {
	case c.Off:
		return nil
	case c.Window < time.Minute || c.Window > 24*time.Hour:
		return fmt.Errorf("conversion over %v: want 1m to 24h", c.Window)
	case c.Grace < time.Second || c.Grace > time.Hour:
		return fmt.Errorf("conversion with a grace of %v: want 1s to 1h", c.Grace)
	case c.MinSends < 1:
		return fmt.Errorf("conversion of at least %d messages: want 1 or more", c.MinSends)
	case c.WarnBelow < -1 || c.WarnBelow > 100 || c.StopBelow < -1 || c.StopBelow > 100:
		return fmt.Errorf("conversion that warns below %d %% and stops below %d %%: want 1 to 100, or -1 for never", c.WarnBelow, c.StopBelow)
	case c.WarnBelow != -1 && c.StopBelow > c.WarnBelow:
		return fmt.Errorf("conversion that stops below %d %% but warns only below %d %%: write the larger one for the warning", c.StopBelow, c.WarnBelow)
	case c.StopFor < time.Minute || c.StopFor > maxWindow:
		return fmt.Errorf("conversion that stops messages for %v: want 1m to %v", c.StopFor, maxWindow)
	}
	return nil
}

// withDefaults returns a checked configuration as it is used.
func (c Config) withDefaults() Config {
	if c.Limits == nil {
		c.Limits = DefaultLimits()
	}
	c.Limits = c.Limits.byWindow()
	c.Conversion = c.Conversion.withDefaults()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return c
}
