package challengepages

import (
	"html"
	"html/template"
	"time"
)

// recentActivities is how many of the last activities are shown at once. The
// others are a tap away.
const recentActivities = 5

// deviceView is one trusted browser.
type deviceView struct {
	ID     string
	Client template.HTML
	// Where is from which address it became trusted; empty if that is not known.
	Where template.HTML
	Here  bool
	// Period says since when it is trusted, and until when.
	Period template.HTML
}

// deviceViews are the browsers that the player trusts and may forget (R38).
func (w *words) deviceViews(devices []Device) []deviceView {
	var views []deviceView
	for _, d := range devices {
		views = append(views, deviceView{
			ID: d.ID, Client: w.client(d.Client), Where: w.address(d.Client), Here: d.Here,
			Period: w.html("device.period", "since", w.day(d.Since), "until", w.day(d.Until)),
		})
	}
	return views
}

// activityView is one line of the last activities.
type activityView struct {
	What          string
	At            template.HTML
	Client, Where template.HTML // empty where nothing is known
	Here          string        // "this browser", or empty
}

// activityViews are the last activities, which tell of suspicious attempts (R18)
// and of every change of a factor (R19).
func (w *words) activityViews(activities []Activity) (recent, older []activityView) {
	for i, a := range activities {
		v := activityView{What: w.text("activity." + string(a.Kind)), At: w.moment(a.At), Where: w.address(a.Client)}
		if a.Here {
			v.Here = w.text("client.here")
		}
		if a.Client.Browser != "" || a.Client.System != "" {
			v.Client = w.client(a.Client)
		}
		if i < recentActivities {
			recent = append(recent, v)
		} else {
			older = append(older, v)
		}
	}
	return recent, older
}

// address says from where somebody came, or nothing.
func (w *words) address(c Client) template.HTML {
	if c.Address == "" {
		return ""
	}
	return w.html("client.address", "address", c.Address)
}

// client names a browser as far as it is known.
func (w *words) client(c Client) template.HTML {
	switch {
	case c.Browser != "" && c.System != "":
		return w.html("client", "browser", c.Browser, "system", c.System)
	case c.Browser != "":
		return w.html("client.browser", "browser", c.Browser)
	case c.System != "":
		return w.html("client.system", "system", c.System)
	}
	return w.html("client.unknown")
}

// moment is a day and time of day in the site's zone, and says to the script which
// offset from UTC that is: it adds the player's own time where that is another.
func (w *words) moment(t time.Time) template.HTML {
	return timeElement(w.in(t).Format(time.RFC3339), w.dateClock(t))
}

// exactMoment is moment by the clock alone, with seconds, for waits that end soon.
func (w *words) exactMoment(t time.Time) template.HTML {
	return timeElement(w.in(t).Format(time.RFC3339), w.exactClock(t))
}

// day is a date without a time of day.
func (w *words) day(t time.Time) template.HTML {
	return timeElement(w.in(t).Format(time.DateOnly), w.date(t))
}

func timeElement(machine, text string) template.HTML {
	return template.HTML(`<time datetime="` + html.EscapeString(machine) + `">` + html.EscapeString(text) + `</time>`)
}
