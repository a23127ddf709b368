package challengepages

import (
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/gsm7"
)

// R19, R62: what happened, and the way to object, in one part of an SMS.
func TestANoticeFitsOneSMSWithItsLinkWhole(t *testing.T) {
	for _, brand := range []string{"Example", longBrand} {
		r := newRenderer(t, func(b *Brand) { b.Name = brand })
		for _, lang := range []Lang{Indonesian, English} {
			for _, kind := range toldActivities() {
				for _, length := range []int{60, 89, maxNoticeLink} {
					link := "https://" + strings.Repeat("x", length-8)
					text := r.NoticeText(lang, NoticeText{Kind: kind, Link: link})
					if n, ok := gsm7.Septets(text); !ok || n > gsm7.MaxSeptets {
						t.Errorf("%s, %s: %q takes %d septets", lang, kind, text, n)
					}
					if !strings.HasSuffix(text, link) {
						t.Errorf("%s, %s: %q does not end with its link", lang, kind, text)
					}
					if length == 60 && brand == "Example" && !strings.Contains(text, brand) {
						t.Errorf("%s, %s: %q does not say whose it is", lang, kind, text)
					}
				}
			}
		}
	}
}

// A text that names no site, with a link in it, looks like the fraud that it warns of.
func TestANoticeNamesItsSiteBesideALinkOfOrdinaryLength(t *testing.T) {
	const ordinary = len("https://www.nusantara-sejahtera.example") + len("/.stepgate/n/") + 43 // a token
	r := newRenderer(t, withLongBrand)
	link := "https://" + strings.Repeat("x", ordinary-8)
	for _, lang := range []Lang{Indonesian, English} {
		for _, kind := range toldActivities() {
			text := r.NoticeText(lang, NoticeText{Kind: kind, Link: link})
			if !strings.HasPrefix(text, shorten(longBrand, shortName)) || !strings.HasSuffix(text, link) {
				t.Errorf("%s, %s: %q lacks its site or link", lang, kind, text)
			}
		}
	}
}

func TestANoticeWithoutALinkSendsToSupport(t *testing.T) {
	r := newRenderer(t, withLongBrand)
	for _, link := range []string{"", "https://" + strings.Repeat("x", maxNoticeLink), "https://kas\u00edno\u4e00.example/n"} {
		for lang, want := range map[Lang]string{Indonesian: "hubungi bantuan", English: "Contact our support"} {
			text := r.NoticeText(lang, NoticeText{Kind: ActivitySMSChanged, Link: link})
			if n, ok := gsm7.Septets(text); !ok || n > gsm7.MaxSeptets || !strings.Contains(text, want) || strings.Contains(text, "http") {
				t.Errorf("%s: NoticeText with the link %q = %q", lang, link, text)
			}
		}
	}
}

func TestNoticesGoOutInTheBrandsFirstLanguage(t *testing.T) {
	r := newRenderer(t, func(b *Brand) { b.Languages = []Lang{English, Indonesian} })
	if got := r.DefaultLang(); got != English {
		t.Errorf("DefaultLang = %s, want en", got)
	}
}
