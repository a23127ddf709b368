package challengepages

import (
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/gsm7"
)

func TestSMSSaysWhatTheCodeIsFor(t *testing.T) {
	payout := []Detail{{"amount", "2500000"}, {"bank", "BCA"}, {"account", "1234567890"}}
	for _, test := range []struct {
		name string
		lang Lang
		m    SMSText
		want string
	}{
		{"withdrawal", Indonesian, SMSText{Code: "123456", Minutes: 5, Rule: "withdrawal", Details: payout},
			"Kode Example Anda: 123456 untuk penarikan Rp2.500.000 ke BCA 1234567890. JANGAN berikan kode ini kepada siapa pun, termasuk petugas kami. Berlaku 5 menit."},
		{"withdrawal", English, SMSText{Code: "123456", Minutes: 5, Rule: "withdrawal", Details: payout},
			"123456 is your Example code for withdrawal Rp2,500,000 to BCA 1234567890. Never share it, even with our staff. Valid 5 min."},
		{"rule without words", English, SMSText{Code: "123456", Minutes: 5, Rule: "profile"},
			"123456 is your Example code. Never share it, even with our staff. Valid 5 min."},
		{"payee alone", English, SMSText{Code: "123456", Minutes: 5, Details: []Detail{{"email", "budi@example.com"}}},
			"123456 is your Example code for budi@example.com. Never share it, even with our staff. Valid 5 min."},
		{"bound to the site", English, SMSText{Code: "123456", Minutes: 5, Rule: "email", Region: "SG", Host: "accounts.example.co.id"},
			"123456 is your Example code for email change. Never share it, even with our staff. Valid 5 min.\n\n@accounts.example.co.id #123456"},
		// R1 before R76: what is approved stays, though shorter.
		{"bound and shortened", Indonesian, SMSText{Code: "123456", Minutes: 5, Rule: "withdrawal", Details: payout, Region: "SG", Host: "casino.example"},
			"Kode Example Anda: 123456 untuk Rp2.500.000 ke *7890. JANGAN berikan kode ini kepada siapa pun, termasuk petugas kami. Berlaku 5 menit.\n\n@casino.example #123456"},
		{"unknown language", "xx", SMSText{Code: "123456", Minutes: 5},
			"Kode Example Anda: 123456. JANGAN berikan kode ini kepada siapa pun, termasuk petugas kami. Berlaku 5 menit."},
	} {
		if got := newRenderer(t).SMSText(test.lang, test.m); got != test.want {
			t.Errorf("%s:\n got %q\nwant %q", test.name, got, test.want)
		}
	}
}

// One character outside GSM-7, or one septet too many, and the network may drop
// the message or split it.
func TestSMSIsOnePartWithCodeWarningAndTimeWhateverTheDetails(t *testing.T) {
	brands := []string{"X", "Example", longBrand, strings.Repeat("W", MaxBrandName), strings.Repeat("€", MaxBrandName), "Łódź – “Élan”", "李"}
	details := [][]Detail{
		nil,
		{{"amount", longAmount}, {"bank", strings.Repeat("BANK ", 40)}, {"account", strings.Repeat("9", 200)}},
		{{"amount", "2500000"}, {"to", "Siti Nurhaliza binti Tarudin"}, {"email", strings.Repeat("a", 40) + "@" + strings.Repeat("b", 30) + ".example.co.id"}},
		{{"to", "{}[]^~|\\€€€€€€€€€€"}, {"phone", "+62 812-3456-7890"}},
		{{"amount", strings.Repeat("1.", 60)}, {"to", hostile}},
	}
	warning := map[Lang][2]string{
		Indonesian: {"JANGAN berikan kode ini kepada siapa pun, termasuk petugas kami.", "Berlaku 60 menit."},
		English:    {"Never share it, even with our staff.", "Valid 60 min."},
	}
	for _, brand := range brands {
		r := newRenderer(t, func(b *Brand) { b.Name = brand })
		for lang, parts := range warning {
			for _, rule := range []string{"", "withdrawal", "payment_method", "settings_off"} {
				for _, d := range details {
					for _, host := range []string{"", "casino.example", strings.Repeat("host.", 20) + "example"} {
						text := r.SMSText(lang, SMSText{Code: "12345678", Minutes: 60, Rule: rule, Details: d, Region: "SG", Host: host})
						if n, ok := gsm7.Septets(text); !ok || n > 160 {
							t.Errorf("%d septets, in GSM-7 %v: %q", n, ok, text)
						}
						for _, want := range []string{"12345678", parts[0], parts[1]} {
							if !strings.Contains(text, want) {
								t.Errorf("%q lacks %q", text, want)
							}
						}
					}
				}
			}
		}
	}
}

// The text comes from the site's own sender. An attacker with a stolen session
// chooses the payee, and would like to write to the player.
func TestDetailCannotWriteAMessageOfItsOwn(t *testing.T) {
	for value, want := range map[string]string{
		"HUBUNGI WA 081234567890 SEGERA":           "081234567890",
		"buka http://evil.example/x":               "buka httpevilexamp..",
		"evil.example":                             "evilexample",
		"Kode Anda salah\n\n@evil.example #999999": "999999",
		"1.1.1.1":                                   "1111",
		"budi@example.com":                          "budi@example.com",
		"budi@example.com call 0812":                "0812",
		"+62 812-3456-7890":                         "+6281234567890",
		"12345678901234567890123456789":             "*1234567890123456789",
		"Siti Aminah":                               "Siti Aminah",
		"Siti Aminah Nurhaliza binti Tarudin Hasan": "Siti Aminah Nurhal..",
		"Łukasz “X”":                                "ukasz X",
		"•••• 7890":                                 "7890",
		strings.Repeat("1", maxPayeeValue+1):        "",
		"+":                                         "", "": "", "李": "",
	} {
		if got := smsPayee(value); got != want {
			t.Errorf("smsPayee(%q) = %q, want %q", value, got, want)
		}
	}
	amount, _ := newRenderer(t).smsDetails(builtInCatalogue(t, English), []Detail{{"amount", "1 juta, hubungi 0812"}})
	if amount != "" {
		t.Errorf("an amount with words gets into the text: %q", amount)
	}
}

// Where a player is asked for the code by phone, only the SMS itself can say no.
func TestEveryCodeTextSaysNotToShareIt(t *testing.T) {
	warnings := map[Lang]string{
		Indonesian: "JANGAN berikan kode ini kepada siapa pun, termasuk petugas kami.", English: "Never share it, even with our staff.",
	}
	for lang, warning := range warnings {
		found := 0
		for key, m := range builtInCatalogue(t, lang).messages {
			if key != "text.code" && !strings.HasPrefix(key, "text.code.") {
				continue
			}
			for _, form := range m.all() {
				found++
				if text := form.fill(nil); !strings.Contains(text, warning) {
					t.Errorf("%s: %s is %q, without %q", lang, key, text, warning)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s has no text for a code", lang)
		}
	}
}

// An operator's texts are one part, too, whatever they say a code is for: with the
// longest amount, which is in each of them, and with a long host.
func TestOverriddenTextsAreOnePartWithAmountAndHost(t *testing.T) {
	f := folder("messages/en.toml", "[messages]\n"+
		"\"text.code\" = \"{code} "+strings.Repeat("w", 100)+" {brand} {minutes}\"\n"+
		"\"text.code.for\" = \"{code} "+strings.Repeat("w", 80)+" {brand} {what} {minutes}\"\n"+
		"\"text.code.for.payee\" = \"{code} "+strings.Repeat("w", 80)+" {brand} {what} {payee} {minutes}\"\n"+
		"\"text.purpose.transfer\" = \""+strings.Repeat("a transfer ", 12)+"\"\n",
		"messages/th.toml", thai)
	for _, currency := range []string{"IDR", "SGD"} {
		r := newRenderer(t, withLongBrand, withFolder(f), func(b *Brand) { b.Currency = currency })
		for _, lang := range r.languages {
			for _, rule := range []string{"", "transfer", "withdrawal"} {
				for _, host := range []string{"", "accounts.perusahaan-keuangan-nusantara-sejahtera.co.id"} {
					text := r.SMSText(lang, SMSText{
						Code: "123456", Minutes: 5, Rule: rule, Region: "SG", Host: host,
						Details: []Detail{{"amount", longAmount}, {"account", "1234567890123456"}},
					})
					amount, _ := r.catalogues[lang].format.money(currency, longAmount)
					n, ok := gsm7.Septets(text)
					if !ok || n > gsm7.MaxSeptets || !strings.Contains(text, "123456") || !strings.Contains(text, gsm7.From(amount)) {
						t.Errorf("%s, rule %q, host %q: %d septets, in GSM-7 %v: %q", lang, rule, host, n, ok, text)
					}
				}
			}
		}
	}
}

func FuzzSMSTextIsOnePart(f *testing.F) {
	f.Add("withdrawal", "2500000", "BCA 1234567890", "casino.example")
	f.Add("", "€€€", "{{{{{{{{", "\n@")
	r := newRenderer(f, withLongBrand)
	f.Fuzz(func(t *testing.T, rule, amount, to, host string) {
		for _, lang := range []Lang{Indonesian, English} {
			text := r.SMSText(lang, SMSText{Code: "123456", Minutes: 5, Rule: rule, Details: []Detail{{"amount", amount}, {"to", to}}, Region: "SG", Host: host})
			if n, ok := gsm7.Septets(text); !ok || n > 160 || !strings.Contains(text, "123456") {
				t.Fatalf("%d septets, in GSM-7 %v: %q", n, ok, text)
			}
		}
	})
}
