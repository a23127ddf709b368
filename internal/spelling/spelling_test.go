package spelling

import "testing"

func TestSlipsAreTakenForTheNearestWord(t *testing.T) {
	known := []string{"path", "method", "factors", "max_age", "single_use", "form", "json"}
	for word, want := range map[string]string{
		"paht": "path", "metod": "method", "Method": "method", "singel_use": "single_use", "single-use": "single_use", "maxage": "max_age",
		"from": "form", "jason": "json", "": "", "x": "", "withdrawal": "", "keep": "",
	} {
		if got := Closest(word, known); got != want {
			t.Errorf("Closest(%q) = %q, want %q", word, got, want)
		}
	}
}
