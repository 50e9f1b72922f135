package task

import (
	"errors"
	"testing"
	"time"
)

// TestNextRun holds schedules to what the wall clock says, on days too on which it is changed.
func TestNextRun(t *testing.T) {
	for _, c := range []struct{ name, cron, zone, after, want string }{
		{"plain", "30 2 * * *", "UTC", "2026-11-21T00:00:00Z", "2026-11-21T02:30:00Z"},
		{"not the same minute again", "30 2 * * *", "UTC", "2026-11-21T02:30:00Z", "2026-11-22T02:30:00Z"},
		{"in a zone", "30 2 * * *", "Asia/Shanghai", "2026-11-21T00:00:00Z", "2026-11-22T02:30:00+08:00"},
		{"weekdays", "0 9 * * 1-5", "Europe/Berlin", "2026-11-20T10:00:00+01:00", "2026-11-23T09:00:00+01:00"},
		{"leap day", "0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"half an hour's zone", "0 6 * * *", "Asia/Kolkata", "2026-11-21T00:00:00Z", "2026-11-21T06:00:00+05:30"},
		{"tag", "@daily", "UTC", "2026-11-21T12:00:00Z", "2026-11-22T00:00:00Z"},

		{"before winter", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00"},
		{"once on the long night", "30 2 * * *", "Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"},
		{"in the second of the two hours", "30 2 * * *", "Europe/Berlin", "2026-10-25T02:10:00+01:00", "2026-10-26T02:30:00+01:00"},
		{"the night that lacks an hour", "30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00+01:00", "2027-03-28T03:30:00+02:00"},
		{"and the one after", "30 2 * * *", "Europe/Berlin", "2027-03-28T03:30:00+02:00", "2027-03-29T02:30:00+02:00"},
		{"asked in the hour before the gap", "30 2 * * *", "Europe/Berlin", "2027-03-28T01:59:00+01:00", "2027-03-28T03:30:00+02:00"},
		{"New York's gap", "15 2 * * *", "America/New_York", "2027-03-14T00:00:00-05:00", "2027-03-14T03:15:00-04:00"},
		{"New York's long night", "30 1 * * *", "America/New_York", "2026-11-01T00:00:00-04:00", "2026-11-01T01:30:00-04:00"},
		{"midnight does not exist", "0 0 * * *", "America/Santiago", "2026-09-05T12:00:00-04:00", "2026-09-06T01:00:00-03:00"},

		{"hourly through the long night, first", "30 * * * *", "Europe/Berlin", "2026-10-25T01:30:00+02:00", "2026-10-25T02:30:00+02:00"},
		{"hourly through the long night, second", "30 * * * *", "Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"},
		{"hourly over the gap", "30 * * * *", "Europe/Berlin", "2027-03-28T01:30:00+01:00", "2027-03-28T03:30:00+02:00"},
		{"every quarter over the gap", "*/15 * * * *", "Europe/Berlin", "2027-03-28T01:45:00+01:00", "2027-03-28T03:00:00+02:00"},
		{"every quarter in the long night", "*/15 * * * *", "Europe/Berlin", "2026-10-25T02:45:00+02:00", "2026-10-25T02:00:00+01:00"},
		{"seconds are cut", "*/15 * * * *", "UTC", "2026-11-21T10:14:59Z", "2026-11-21T10:15:00Z"},
	} {
		after, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			t.Fatal(err)
		}
		got, err := nextRun(c.cron, c.zone, after)
		if want, _ := time.Parse(time.RFC3339, c.want); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s in %s after %s: %s, want %s (%v)", c.name, c.cron, c.zone, c.after, got.Format(time.RFC3339), c.want, err)
		}
	}
}

// TestNextRunWalks goes through two years of several schedules: the next run is always later and never asked for twice.
func TestNextRunWalks(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Shanghai"} {
		for cron, least := range map[string]int{"30 2 * * *": 725, "0 0 * * *": 725, "45 1 * * 0": 104, "17 */6 * * *": 2900} {
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			n := 0
			for end := at.AddDate(2, 0, 0); at.Before(end); n++ {
				next, err := nextRun(cron, zone, at)
				if err != nil || !next.After(at) {
					t.Fatalf("%s in %s after %v: %v, %v", cron, zone, at, next, err)
				}
				at = next
			}
			if n < least || n > least+30 {
				t.Errorf("%s in %s: %d runs in two years", cron, zone, n)
			}
		}
	}
}

func TestCheckCron(t *testing.T) {
	for _, c := range []struct {
		cron, zone string
		ok         bool
	}{
		{"30 2 * * *", "UTC", true}, {"@weekly", "Europe/Berlin", true}, {"*/5 * * * *", "UTC", true},
		{"", "UTC", false}, {"* * * * * *", "UTC", false}, {"61 2 * * *", "UTC", false}, {"0 0 30 2 *", "UTC", false}, {"tomorrow", "UTC", false},
		{"30 2 * * *", "", false}, {"30 2 * * *", "Local", false}, {"30 2 * * *", "Mars/Olympus", false}, {"30 2 * * *", "../../etc/passwd", false},
	} {
		err := checkCron(c.cron, c.zone)
		if c.ok && err != nil || !c.ok && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q in %q: %v", c.cron, c.zone, err)
		}
	}
}

// FuzzCron: no expression hangs or panics.
func FuzzCron(f *testing.F) {
	for _, s := range []string{"30 2 * * *", "@daily", "*/7 1-3,5 L * 1#2", "0 0 31 2 *", "@@", "a b c d e", "0 0 * * 7"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cron string) {
		if checkCron(cron, "Europe/Berlin") != nil {
			return
		}
		at := time.Date(2026, 10, 24, 23, 0, 0, 0, time.UTC)
		next, err := nextRun(cron, "Europe/Berlin", at)
		if err == nil && !next.After(at) {
			t.Errorf("%q: %v", cron, next)
		}
	})
}
