package challengepages

// DetailValue returns a detail's value as the challenge page shows it in a
// language: a plain amount as money, everything else as it will be sent, with
// what could reorder or hide text made harmless. Programs that show a challenge
// themselves get it in this form.
func (r *Renderer) DetailValue(lang Lang, d Detail) string {
	lang, _ = r.Lang(string(lang))
	value, _ := r.catalogues[lang].format.detailValue(r.currency, d)
	return value
}

// detailValue gives what is shown of a detail, and whether it is an amount of
// money.
func (f *format) detailValue(currency string, d Detail) (string, bool) {
	if d.Label == "amount" {
		if amount, ok := f.money(currency, d.Value); ok {
			return amount, true
		}
	}
	return shown(d.Value), false
}
