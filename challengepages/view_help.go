package challengepages

import "html/template"

type helpView struct{ Back string }

func (r *Renderer) fillHelp(f *frame, h Help) {
	f.Title = f.words.text("help")
	f.Help = false // it is what the page is about
	f.View, f.Switch = helpView{Back: localPath(h.Back)}, r.linkSwitch(f.Lang)
}

type freezeView struct {
	Action string
	What   template.HTML
	// LocalTime as in outcomeView.
	LocalTime string
	Icon      string
}

func (r *Renderer) fillFreeze(f *frame, z Freeze) {
	w := f.words
	f.Title = w.text("freeze")
	f.View = freezeView{
		Action: formAction(z.Action),
		What: w.html("freeze.what", "time", bold(w.moment(z.At)),
			"what", strong(w.text("text.notice."+string(z.Kind)))),
		LocalTime: w.text("time.local"),
		Icon:      iconLock,
	}
	f.Switch = r.linkSwitch(f.Lang)
}
