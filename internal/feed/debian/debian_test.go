package debian

import (
	"testing"

	"stockade.dev/stockade/internal/advisory"
)

func TestStreams(t *testing.T) {
	for name, want := range map[string]string{"12": "debian 12", "6.0": "debian 6", "bookworm": "debian 12", "sid": "debian sid", "": "", "12:x": "", "potato": ""} {
		got, ok := Stream(name)
		if !ok {
			got = ""
		}
		if got != want || ok && !advisory.KnownStream(got) {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for code := range codenames {
		if s, _ := Codename(code); !advisory.KnownStream(s) {
			t.Errorf("%s: stream %q", code, s)
		}
	}
}

func TestWords(t *testing.T) {
	for _, test := range []struct {
		urgency, nodsa, reason string
		want                   advisory.State
	}{
		{"not yet assigned", "", "", advisory.Affected}, {"low", "Minor issue", "", advisory.Deferred}, {"low", "Minor issue", "postponed", advisory.Deferred},
		{"low", "", "ignored", advisory.WillNotFix}, {"unimportant", "", "", advisory.WillNotFix}, {"end-of-life", "x", "ignored", advisory.EndOfLife},
	} {
		if got := Unfixed(test.urgency, test.nodsa, test.reason); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
	for urgency, want := range map[string]string{"low**": "low", "high": "high", "medium": "medium", "not yet assigned": "", "unimportant": "low", "": ""} {
		if got := Severity(urgency); got != want {
			t.Errorf("%s: %q, want %q", urgency, got, want)
		}
	}
}
