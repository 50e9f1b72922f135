package ledger

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stockade.dev/stockade/internal/finding"
)

// TestDetail: what is packed comes back, small or large; damaged bytes are an error.
func TestDetail(t *testing.T) {
	for _, text := range []string{"", "短", strings.Repeat("long ", 5000)} {
		want := &Detail{Kind: finding.Configuration, Message: finding.Text{EN: text, ZH: text}, Resource: finding.Resource{Kind: "Pod", Name: "p"}}
		body, err := want.Pack()
		if err != nil {
			t.Fatal(err)
		}
		got, err := UnpackDetail(body)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if _, err := UnpackDetail(body[:len(body)/2]); err == nil {
			t.Error("half of a detail was read")
		}
	}
	for _, bad := range []string{"", "{", "x", "\x28\xb5\x2f\xfd\x00"} {
		if _, err := UnpackDetail([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// TestReconstruct: a finding that is not active is suppressed, with the reason that there is.
func TestReconstruct(t *testing.T) {
	inline := &finding.Suppression{By: "inline", Reason: "a driver"}
	for _, tt := range []struct {
		status   Status
		handling Handling
		detail   *finding.Suppression
		want     string
	}{
		{StatusOpen, Unhandled, nil, ""}, {StatusOpen, Unhandled, inline, ""}, {StatusAccepted, Accepted, inline, "inline"},
		{StatusAccepted, Accepted, nil, "exception"}, {StatusIgnored, Ignored, nil, "ignored"}, {StatusFixed, Unhandled, nil, "fixed"},
	} {
		f := Reconstruct(&Row{Status: tt.status, Handling: tt.handling, Severity: 4}, &Advice{}, &Detail{Suppression: tt.detail})
		by := ""
		if f.Suppression != nil {
			by = f.Suppression.By
		}
		if by != tt.want || (f.Status == finding.Open) != (tt.want == "") || f.Severity != finding.Critical {
			t.Errorf("%v: %+v", tt, f)
		}
	}
}
