package challengepages

import "github.com/stepgate/stepgate/internal/gsm7"

// maxNoticeLink is the longest link of a notice that fits an SMS, in characters.
const maxNoticeLink = 120

// NoticeText writes the text of the SMS that tells a player of a change: whose site,
// what happened, and the link for whoever did not do it. It is one part of GSM-7, at
// most 160 septets: the brand is shortened and left out before the link is. Without a
// link, or with one that does not fit, it sends the player to support.
//
// Nothing of a request is in it.
func (r *Renderer) NoticeText(lang Lang, m NoticeText) string {
	lang, _ = r.Lang(string(lang))
	c := r.catalogues[lang]
	brand := gsm7.From(r.brand.Name)
	forms := []string{"text.notice", "text.notice.brief", "text.notice.short"}
	if m.Link == "" || len(m.Link) > maxNoticeLink || gsm7.From(m.Link) != m.Link {
		forms = []string{"text.notice.no_link"}
	}
	text := ""
	for _, form := range forms {
		for _, name := range []string{brand, shorten(brand, shortName)} {
			text = c.noticeText(form, name, m)
			if n, ok := gsm7.Septets(text); ok && n <= gsm7.MaxSeptets {
				return text
			}
		}
	}
	return text
}

func (c *catalogue) noticeText(form, brand string, m NoticeText) string {
	what := c.messages["text.notice."+string(m.Kind)].counting(1).fill(nil)
	return c.messages[form].counting(1).fill(map[string]string{"brand": brand, "what": what, "link": m.Link})
}

// DefaultLang is the language for players of whom nothing else is known: the brand's
// first.
func (r *Renderer) DefaultLang() Lang { return r.languages[0] }
