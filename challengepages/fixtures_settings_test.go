package challengepages

import "time"

const (
	maskedPhone = "+62 ••• •••• 7890"
	otherPhone  = "+62 ••• •••• 4455"
)

// security is the security page that the others are variations of: nothing is on.
func security(change func(*Settings)) Settings {
	s := Settings{Base: "/account/security", Back: "/", Help: "/account/security/help"}
	if change != nil {
		change(&s)
	}
	return s
}

var since = time.Date(2025, 8, 17, 3, 0, 0, 0, time.UTC)

// authenticator is one that was used an hour ago.
func authenticator(name string, removable bool) Enrolment {
	return Enrolment{ID: "e1", Factor: "totp", Name: name, Since: since, Used: now.Add(-time.Hour), Removable: removable}
}

func smsEnrolment() Enrolment {
	return Enrolment{ID: "e2", Factor: "sms", Phone: maskedPhone, Since: since, Used: now.Add(-26 * time.Hour)}
}

// withTOTP has one authenticator and a recovery key that is kept.
func withTOTP(s *Settings) {
	s.Enrolments = []Enrolment{authenticator("", false)}
	s.RecoveryKey, s.RecoveryKeySaved, s.RecoveryKeySince = true, true, since
}

func withSMS(s *Settings) {
	withTOTP(s)
	s.Enrolments = []Enrolment{smsEnrolment()}
}

// withAll has as much as there may be of everything.
func withAll(s *Settings) {
	withTOTP(s)
	s.Full, s.RegisteredPhone, s.Notice = true, maskedPhone, NoticeTOTPBound
	s.Enrolments = []Enrolment{
		authenticator("HP Sari", true), authenticator("", true), authenticator("Samsung Galaxy A15 5G yang di rumah Ibu!", true),
		authenticator("</b><script>alert(1)</script>\u202e'\"", true),
		{ID: "e5", Factor: "totp", Name: "Tablet", Since: now.Add(-time.Minute), Removable: true},
	}
	s.Devices, s.Activities = devices(), activities(Activities...)
}

func devices() []Device {
	until := now.Add(60 * 24 * time.Hour)
	return []Device{
		{ID: "d1", Client: Client{Browser: "Chrome", System: "Android", Address: "203.0.113.7"}, Since: since, Until: until, Here: true},
		{ID: "d2", Client: Client{Browser: "Firefox"}, Since: since, Until: until},
		{ID: "d3", Client: Client{System: "iOS"}, Since: since, Until: until},
		{ID: "d4", Since: since, Until: until},
	}
}

// activities are of the given kinds, the newest first, from several clients.
func activities(kinds ...ActivityKind) []Activity {
	clients := []Client{
		{Browser: "Chrome", System: "Android", Address: "203.0.113.7"}, {Browser: "Firefox", System: "Windows", Address: "2001:db8:85a3:1111:2222:8a2e:370:7334"},
		{Address: "198.51.100.20"}, {},
	}
	var all []Activity
	for i, kind := range kinds {
		all = append(all, Activity{Kind: kind, At: now.Add(-time.Duration(i) * 7 * time.Hour), Client: clients[i%len(clients)], Here: i == 0})
	}
	return all
}

// usual is what an ordinary player finds there.
func usual(s *Settings) {
	withTOTP(s)
	s.Enrolments = []Enrolment{authenticator("HP Sari", true), authenticator("HP lama", true)}
	s.Devices, s.NewDevices = devices()[:1], true
	s.Activities = activities(ActivityPassed, ActivityDeviceTrusted, ActivityTOTPAdded, ActivityKeyMade)
}

func settingsStates() []state {
	with := func(base, change func(*Settings)) Settings {
		return security(func(s *Settings) { base(s); change(s) })
	}
	blocked := func(s *Settings) { s.Enrolments[0].Disabled = true }
	all := []state{
		{"settings-off", security(nil), true},
		{"settings-registered", security(func(s *Settings) { s.RegisteredPhone, s.Notice = maskedPhone, NoticeSwitchedOff }), false},
		{"settings-phone", security(func(s *Settings) {
			s.RegisteredPhone, s.Problem, s.Typed = maskedPhone, ProblemPhone, "0812 345"
		}), true},
		{"settings-no-sms", security(func(s *Settings) { s.NoSMS = true }), false},
		{"settings-totp", security(withTOTP), true},
		{"settings-usual", security(usual), true},
		{"settings-all", security(withAll), true},
		{"settings-sms", with(withSMS, func(s *Settings) { s.RegisteredPhone = otherPhone }), true},
		{"settings-sms-phone", with(withSMS, func(s *Settings) { s.Problem, s.Typed = ProblemPhone, "021-555" }), false},
		{"settings-totp-blocked", with(withTOTP, blocked), true},
		{"settings-sms-blocked", with(withSMS, blocked), false},
		{"settings-unsaved", with(withTOTP, func(s *Settings) { s.RecoveryKeySaved = false }), true},
		{"settings-no-key", with(withTOTP, func(s *Settings) { s.RecoveryKey = false }), false},
		{"settings-key", with(withTOTP, func(s *Settings) {
			s.Enrolments, s.Recovered, s.RegisteredPhone = nil, now.Add(-time.Minute), otherPhone
		}), true},
		{"settings-recovered", with(withTOTP, func(s *Settings) {
			s.Recovered, s.Notice = now.Add(-time.Minute), NoticeRecovered
			s.HeldUntil, s.HeldFor = now.Add(24*time.Hour), "recovery"
		}), true},
		{"settings-frozen", with(withAll, func(s *Settings) { s.Frozen, s.Liftable, s.Notice = now.Add(-time.Hour), true, NoticeNone }), true},
		{"settings-stuck", with(usual, func(s *Settings) { s.Frozen = now.Add(-time.Hour) }), true},
	}
	for _, cause := range []string{"factor_change", "first_enrolment", "support"} {
		all = append(all, state{"settings-held-" + cause, with(withTOTP, func(s *Settings) {
			s.HeldUntil, s.HeldFor = now.Add(24*time.Hour), cause
		}), false})
	}
	return all
}
