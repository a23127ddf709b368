package challengepages

import "time"

var sampleNotices = []Notice{
	NoticeNone, NoticeTOTPBound, NoticeSMSBound, NoticeSwitchedOff, NoticeSetupExpired, NoticeSetupLost, NoticeRecoverySaved,
	NoticeRemoved, NoticeForgotten, NoticeUnlocked, NoticeLifted, NoticeRecovered,
}

// sampleCauses are what a cooling-off time may follow on; the empty one is none
// that the page has words of its own for.
var sampleCauses = []string{"", "factor_change", "first_enrolment", "recovery", "support"}

// settingsSamples are the security page in its states. What stands in one list,
// such as the clients, is in one sample.
func settingsSamples() []sample {
	settings := func(name string, change func(*Settings)) sample {
		s := Settings{Base: "/.stepgate/settings", Back: "/", Help: "/.stepgate/settings/help"}
		change(&s)
		return sample{join("settings", name), s}
	}
	totp := Enrolment{ID: "id", Factor: "totp", Since: sampleTime, Used: sampleTime, Removable: true}
	sms := Enrolment{ID: "id", Factor: "sms", Phone: samplePhone, Since: sampleTime}
	all := []sample{
		settings("with a number", func(s *Settings) { s.RegisteredPhone, s.Problem, s.Typed = samplePhone, ProblemPhone, "123" }),
		settings("when SMS cannot be sent", func(s *Settings) { s.Problem = ProblemSendLater }),
		settings("without SMS", func(s *Settings) { s.NoSMS = true }),
		settings("with an authenticator", func(s *Settings) { s.Enrolments = []Enrolment{{Factor: "totp"}} }),
		settings("with several authenticators", func(s *Settings) {
			s.Enrolments, s.Full, s.RegisteredPhone = []Enrolment{totp, totp}, true, samplePhone
			s.RecoveryKey, s.RecoveryKeySaved, s.RecoveryKeySince = true, true, sampleTime
		}),
		settings("with SMS", func(s *Settings) {
			s.Enrolments, s.RecoveryKey, s.RecoveryKeySaved = []Enrolment{sms}, true, true
		}),
		settings("with a key that is not saved", func(s *Settings) {
			s.Enrolments, s.RecoveryKey, s.RecoveryKeySince = []Enrolment{sms}, true, sampleTime
		}),
		settings("with a key that is not saved, since unknown", func(s *Settings) { s.RecoveryKey = true }),
		settings("recovered", func(s *Settings) { s.Enrolments, s.Recovered = []Enrolment{totp}, sampleTime }),
		settings("frozen", func(s *Settings) { s.Enrolments, s.Frozen, s.Liftable = []Enrolment{totp}, sampleTime, true }),
		settings("frozen for good", func(s *Settings) { s.Enrolments, s.Frozen = []Enrolment{totp}, sampleTime }),
		settings("with trusted browsers and activities", func(s *Settings) { s.Devices, s.Activities = sampleDevices(), sampleActivities() }),
		settings("with browsers that need no code", func(s *Settings) { s.Devices, s.NewDevices = sampleDevices(), true }),
	}
	for _, e := range []Enrolment{totp, sms} {
		e.Disabled = true
		all = append(all, settings("with blocked "+e.Factor, func(s *Settings) { s.Enrolments = []Enrolment{e} }))
	}
	for _, cause := range sampleCauses {
		all = append(all, settings(join("held", cause), func(s *Settings) { s.HeldUntil, s.HeldFor = sampleTime, cause }))
	}
	for _, notice := range sampleNotices {
		all = append(all, settings(string(notice), func(s *Settings) { s.Notice = notice }))
	}
	return all
}

// sampleDevices are one known in full, and others of which less is known.
func sampleDevices() []Device {
	var all []Device
	for i, c := range []Client{{Browser: "Chrome", System: "Android", Address: "203.0.113.7"}, {Browser: "Firefox"}, {System: "iOS"}, {}} {
		all = append(all, Device{ID: "id", Client: c, Since: sampleTime, Until: sampleTime.Add(30 * 24 * time.Hour), Here: i == 0})
	}
	return all
}

// sampleActivities has one of each kind.
func sampleActivities() []Activity {
	var all []Activity
	for i, kind := range Activities {
		all = append(all, Activity{
			Kind: kind, At: sampleTime, Here: i == 0, Client: Client{Browser: "Chrome", System: "Android", Address: "203.0.113.7"},
		})
	}
	return all
}
