package grant

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/policy"
)

// I9, R39: worthless in another session, for another subject, on another site,
// after a revocation.
func TestInvariantI9AGrantFitsOnlyWhatItIsBoundTo(t *testing.T) {
	tests := map[string]struct {
		alter func(b *Bound)
		want  bool
	}{
		"as bound":                  {func(*Bound) {}, true},
		"another subject":           {func(b *Bound) { b.Subject = HashOf("id-sari") }, false},
		"another session":           {func(b *Bound) { b.Binding = HashOf("session 2") }, false},
		"another site":              {func(b *Bound) { b.Audience = HashOf("www.casino.example") }, false},
		"after a revocation":        {func(b *Bound) { b.Epoch++ }, false},
		"before a revocation":       {func(b *Bound) { b.Epoch-- }, false},
		"subject, last bit":         {func(b *Bound) { b.Subject[15] ^= 1 }, false},
		"session, last bit":         {func(b *Bound) { b.Binding[15] ^= 1 }, false},
		"site, last bit":            {func(b *Bound) { b.Audience[15] ^= 1 }, false},
		"subject and session apart": {func(b *Bound) { b.Subject, b.Binding = b.Binding, b.Subject }, false},
		"nothing at all":            {func(b *Bound) { *b = Bound{} }, false},
	}
	c := newCodec(t, newRing(t))
	var g Grant
	if err := c.Decode(encode(t, c, example(1)), &g); err != nil {
		t.Fatal(err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := bound()
			tt.alter(&b)
			if got := g.Fits(&b); got != tt.want {
				t.Errorf("Fits() = %v, want %v", got, tt.want)
			}
		})
	}
}

// I9, R14: worthless after its time, for other rules, and by a factor that a rule
// does not accept.
func TestInvariantI9AGrantOpensOnlyItsGroupByItsFactorInItsTime(t *testing.T) {
	const maxAge = 5 * time.Minute
	all := policy.DefaultFactors
	entry := Entry{Group: HashOf("contact"), Factor: policy.TOTP, At: noon, Expires: noon.Add(10 * time.Minute)}
	tests := map[string]struct {
		group   string
		factors []policy.Factor
		maxAge  time.Duration
		at      time.Duration // after noon
		want    bool
	}{
		"at once":                      {"contact", all, maxAge, 0, true},
		"another group":                {"withdrawal", all, maxAge, 0, false},
		"the group in capitals":        {"Contact", all, maxAge, 0, false},
		"by the only factor":           {"contact", []policy.Factor{policy.TOTP}, maxAge, 0, true},
		"by another factor":            {"contact", []policy.Factor{policy.SMS, policy.RecoveryKey}, maxAge, 0, false},
		"no factor is accepted":        {"contact", nil, maxAge, 0, false},
		"as old as it may be":          {"contact", all, maxAge, maxAge, true},
		"a moment older":               {"contact", all, maxAge, maxAge + 1, false},
		"a stricter rule":              {"contact", all, time.Minute, time.Minute + 1, false},
		"a laxer rule, before it ends": {"contact", all, time.Hour, 10*time.Minute - 1, true},
		"a laxer rule, at its end":     {"contact", all, time.Hour, 10 * time.Minute, false},
		"no age at all, at once":       {"contact", all, 0, 0, true},
		"no age at all, later":         {"contact", all, 0, 1, false},
		"a clock a minute behind":      {"contact", all, maxAge, -time.Minute, true},
		"from the future":              {"contact", all, maxAge, -time.Minute - 1, false},
		"far from the future":          {"contact", all, maxAge, -1000 * time.Hour, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := Grant{Entries: []Entry{{Group: HashOf("other"), Factor: policy.SMS, At: noon, Expires: noon.Add(time.Hour)}, entry}}
			if got := g.Opens(HashOf(tt.group), tt.factors, tt.maxAge, noon.Add(tt.at), time.Time{}); got != tt.want {
				t.Errorf("Opens() = %v, want %v", got, tt.want)
			}
		})
	}
	if (&Grant{Bound: bound()}).Opens(HashOf("contact"), all, maxAge, noon, time.Time{}) {
		t.Error("a grant without entries opens something")
	}
}

func TestAddReplacesTheGroupAndDropsWhatHasEnded(t *testing.T) {
	end := noon.Add(time.Minute)
	entry := func(group string, by policy.Factor, expires time.Time) Entry {
		return Entry{Group: HashOf(group), Factor: by, At: noon, Expires: expires}
	}
	g := Grant{Entries: []Entry{
		entry("ended", policy.TOTP, noon.Add(-time.Second)), entry("contact", policy.SMS, end), entry("ends now", policy.TOTP, noon),
		entry("kept", policy.TOTP, end.Add(time.Hour)), entry("contact", policy.RecoveryKey, end),
	}}
	g.Add(entry("contact", policy.TOTP, end.Add(time.Second)), noon)
	want := []Entry{entry("kept", policy.TOTP, end.Add(time.Hour)), entry("contact", policy.TOTP, end.Add(time.Second))}
	if diff := cmp.Diff(want, g.Entries); diff != "" {
		t.Errorf("entries differ (-want +got):\n%s", diff)
	}
	if got := g.Ends(); !got.Equal(end.Add(time.Hour)) {
		t.Errorf("Ends() = %s, want the last end", got)
	}
	if got := new(Grant).Ends(); !got.IsZero() {
		t.Errorf("Ends() of an empty grant = %s, want zero", got)
	}
}

func TestAddLetsTheOldestGiveWay(t *testing.T) {
	var g Grant
	for i := range MaxEntries + 3 {
		g.Add(Entry{Group: HashOf(fmt.Sprint(i)), Factor: policy.SMS, At: noon, Expires: noon.Add(time.Hour)}, noon)
	}
	if len(g.Entries) != MaxEntries {
		t.Fatalf("%d entries, want %d", len(g.Entries), MaxEntries)
	}
	for i := range MaxEntries + 3 {
		if got := g.Opens(HashOf(fmt.Sprint(i)), policy.DefaultFactors, time.Hour, noon, time.Time{}); got != (i >= 3) {
			t.Errorf("the %d. group is open: %v", i+1, got)
		}
	}
	g.Add(Entry{Group: HashOf("5"), Factor: policy.TOTP, At: noon, Expires: noon.Add(time.Hour)}, noon)
	if len(g.Entries) != MaxEntries || !g.Opens(HashOf("3"), policy.DefaultFactors, time.Hour, noon, time.Time{}) {
		t.Error("replacing an entry of a full grant pushed another one out")
	}
}

func BenchmarkDecode(b *testing.B) {
	c := newCodec(b, newRing(b))
	for _, n := range []int{1, MaxEntries} {
		b.Run(fmt.Sprint(n, "_entries"), func(b *testing.B) {
			value := encode(b, c, example(n))
			b.ReportAllocs()
			for b.Loop() {
				var g Grant
				if err := c.Decode(value, &g); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
