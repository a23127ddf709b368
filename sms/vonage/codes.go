package vonage

import "github.com/stepgate/stepgate/sms"

// messagesCodes are the classes of the errors in a status of the Messages API, where
// they mean more than that the message failed.
var messagesCodes = map[string]sms.Class{
	"1000": sms.NotSent, "1241": sms.NotSent, // throttled
	"1050": sms.BadNumber, "1190": sms.BadNumber, "1240": sms.BadNumber, "1280": sms.BadNumber,
	"1120": sms.Account,                                                                // the sender
	"1481": sms.Account, "1482": sms.Account, "1483": sms.Account, "1484": sms.Account, // registrations
	"1210": sms.Policy,                                         // a network's filter for spam
	"1470": sms.Policy, "1472": sms.Policy, "1473": sms.Policy, // Fraud Defender: prefix, burst, artificial traffic
}

// smsCodes are the same for the err-code of a receipt of the SMS API.
var smsCodes = map[string]sms.Class{
	// Gone, barred, in the middle of a change of networks, or opted out.
	"3": sms.BadNumber, "4": sms.BadNumber, "5": sms.BadNumber, "9": sms.BadNumber, "14": sms.BadNumber,
	"6":  sms.Policy, // a network's filter for spam
	"10": sms.BadRequest,
	// No route of Vonage's leads there: one of another provider may.
	"11": sms.NotSent, "12": sms.NotSent, "99": sms.NotSent,
	// Registrations of entity, sender, content and consent.
	"50": sms.Account, "51": sms.Account, "52": sms.Account, "53": sms.Account, "54": sms.Account,
}
