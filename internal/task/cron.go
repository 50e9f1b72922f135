package task

import (
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// checkCron says what is wrong with a schedule's time. Expressions have five fields, or are "@daily" and the like.
func checkCron(cron, zone string) error {
	if _, err := time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
		return fmt.Errorf("%w: time zone %q is not known: want a name such as Europe/Berlin, or UTC", ErrInvalid, zone)
	}
	fields := len(strings.Fields(cron))
	if tag := strings.HasPrefix(cron, "@"); !tag && fields != 5 || tag && (fields != 1 || cron == "@5minutes" || cron == "@everysecond") || len(cron) > 200 || !gronx.IsValid(cron) {
		return fmt.Errorf("%w: %q is no schedule: want five fields (minute hour day month weekday) such as \"30 2 * * 1-5\"", ErrInvalid, cron)
	}
	if _, err := nextRun(cron, zone, time.Now()); err != nil {
		return fmt.Errorf("%w: %q never comes", ErrInvalid, cron)
	}
	return nil
}

// nextRun is the first moment after t at which the expression is due in the zone.
//
// When clocks are put forward, what is due in the hour that is left out runs at the same distance after the change (02:30 at
// 03:30). When they are put back, what is due at an hour of the day runs once, in the first of the two hours; what is due every
// hour or oftener runs in both.
func nextRun(cron, zone string, t time.Time) (time.Time, error) {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return time.Time{}, err
	}
	if everyHour(cron) {
		return nextHourly(cron, loc, t)
	}
	// The expression is read as if the wall clock were UTC's, which has no changes.
	local := t.In(loc)
	wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), 0, time.UTC)
	for range 100 {
		if wall, err = gronx.NextTickAfter(cron, wall, false); err != nil {
			return time.Time{}, err
		}
		if at := moment(wall, loc); at.After(t) {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q: no next moment found", cron)
}

// moment is when clocks in loc show a wall time: the first of two such moments, and for one that they leave out as long after the
// change as the wall time is after its hour.
func moment(wall time.Time, loc *time.Location) time.Time {
	_, offset := wall.Add(-24 * time.Hour).In(loc).Zone() // before a change of this day
	first := wall.Add(-time.Duration(offset) * time.Second).In(loc)
	if at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, loc); !shows(first, wall) && shows(at, wall) {
		return at
	}
	return first
}

func shows(t, wall time.Time) bool { return t.Hour() == wall.Hour() && t.Minute() == wall.Minute() }

func everyHour(cron string) bool {
	if strings.HasPrefix(cron, "@") {
		return cron == "@hourly" || strings.HasSuffix(cron, "minutes") || strings.HasSuffix(cron, "minute") || strings.HasSuffix(cron, "min")
	}
	return strings.Fields(cron)[1] == "*"
}

// nextHourly follows real time: the wall clock's minute is what matters.
func nextHourly(cron string, loc *time.Location, t time.Time) (time.Time, error) {
	for range 100 {
		_, offset := t.In(loc).Zone()
		wall, err := gronx.NextTickAfter(cron, t.UTC().Add(time.Duration(offset)*time.Second), false)
		if err != nil {
			return time.Time{}, err
		}
		at := wall.Add(-time.Duration(offset) * time.Second).Truncate(time.Minute)
		_, then := at.In(loc).Zone()
		if then == offset {
			return at.In(loc), nil
		}
		// The clocks change on the way: look again from the change on.
		if t = change(loc, t, at, offset).Add(-time.Second); t.After(at) {
			return at.In(loc), nil
		}
		_, offset = t.Add(time.Second).In(loc).Zone()
		wall, err = gronx.NextTickAfter(cron, t.UTC().Add(time.Duration(offset)*time.Second), false)
		if err != nil {
			return time.Time{}, err
		}
		at = wall.Add(-time.Duration(offset) * time.Second).Truncate(time.Minute)
		if _, then = at.In(loc).Zone(); then == offset {
			return at.In(loc), nil
		}
		t = t.Add(time.Second)
	}
	return time.Time{}, fmt.Errorf("%q: no next moment found", cron)
}

// change finds the moment between a and b at which the offset is not that of a any more.
func change(loc *time.Location, a, b time.Time, offset int) time.Time {
	for b.Sub(a) > time.Second {
		mid := a.Add(b.Sub(a) / 2)
		if _, o := mid.In(loc).Zone(); o == offset {
			a = mid
		} else {
			b = mid
		}
	}
	return b.Truncate(time.Second)
}
