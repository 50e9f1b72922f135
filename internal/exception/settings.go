package exception

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Settings are the rules of a house about exceptions.
type Settings struct {
	MaxDays        int  `json:"maxDays" minimum:"1" maximum:"3650" doc:"longest time that an exception with a date may be asked for"`
	AllowUnlimited bool `json:"allowUnlimited" doc:"exceptions without an end may be asked for"`
	SelfApproval   bool `json:"selfApproval" doc:"administrators may approve what they asked for themselves"`
	ApproveVEX     bool `json:"approveVEX" doc:"what VEX documents say holds at once, without anybody's approval"`
	UnusedDays     int  `json:"unusedDays" minimum:"1" maximum:"3650" doc:"days without anything accepted after which an exception is reported as unused"`
	RemindDays     int  `json:"remindDays" minimum:"0" maximum:"365" doc:"days before its end at which an exception is told of; 0 is never"`
}

// DefaultSettings hold until they are changed.
var DefaultSettings = Settings{MaxDays: 365, UnusedDays: 90, RemindDays: 7}

// settingsName is the row of the table settings.
const settingsName = "exceptions"

// Settings reads the settings.
func (b *Book) Settings(ctx context.Context) (Settings, error) { return readSettings(ctx, b.db.R) }

func readSettings(ctx context.Context, db bun.IDB) (Settings, error) {
	s := DefaultSettings
	var text string
	err := store.NotFound(db.NewSelect().Table("settings").Column("value").Where("name = ?", settingsName).Scan(ctx, &text))
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
}

// SetSettings changes the settings. What was decided before stays as it is.
func (b *Book) SetSettings(ctx context.Context, s Settings) error {
	if s.MaxDays < 1 || s.MaxDays > 3650 || s.UnusedDays < 1 || s.UnusedDays > 3650 || s.RemindDays < 0 || s.RemindDays > 365 {
		return fmt.Errorf("%w: maxDays and unusedDays are 1 to 3650, remindDays 0 to 365", ErrInvalid)
	}
	return b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		before, err := readSettings(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.NewRaw("INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
			settingsName, ledger.JSON(s)).Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "exception.settings", "settings of exceptions", 0, before, s)
	})
}

// until checks an end that was asked for against the settings.
func (s Settings) until(text string, untilFix bool, now time.Time) (time.Time, error) {
	t, err := ReadUntil(text)
	switch {
	case err != nil:
		return t, fmt.Errorf("%w: %w", ErrInvalid, err)
	case t.IsZero() && !untilFix && !s.AllowUnlimited:
		return t, fmt.Errorf("%w: it needs an end: a date at most %d days from now, or untilFix", ErrInvalid, s.MaxDays)
	case t.IsZero():
	case !t.After(now):
		return t, fmt.Errorf("%w: expires %s: that is over", ErrInvalid, text)
	case t.After(now.AddDate(0, 0, s.MaxDays+1)) && !s.AllowUnlimited:
		return t, fmt.Errorf("%w: expires %s: at most %d days from now are allowed", ErrInvalid, text, s.MaxDays)
	}
	return t, nil
}
