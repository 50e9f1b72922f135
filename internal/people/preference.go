package people

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
)

// Bounds of what a user may keep: bytes of a value, number of values.
const (
	maxPreference  = 16 << 10
	maxPreferences = 200
)

// ErrPreference says that a preference is not one.
var ErrPreference = errors.New("not a preference")

var preferenceName = regexp.MustCompile(`^[a-z][a-zA-Z0-9._-]{0,99}$`)

// Preferences are what the user who asks has chosen, by name. Programs without a user have none.
func (s *Service) Preferences(ctx context.Context) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	var rows []struct{ Name, Value string }
	err := s.db.R.NewRaw("SELECT name, value FROM preferences WHERE user_id = ?", identity.From(ctx).UserID).Scan(ctx, &rows)
	for _, r := range rows {
		out[r.Name] = json.RawMessage(r.Value)
	}
	return out, err
}

// Prefer keeps a choice of the user who asks. It is no change that others see, so that it is not audited.
func (s *Service) Prefer(ctx context.Context, name string, value json.RawMessage) error {
	user := identity.From(ctx).UserID
	switch {
	case user == 0:
		return fmt.Errorf("%w: only users have preferences", ErrPreference)
	case !preferenceName.MatchString(name):
		return fmt.Errorf("%w: the name has letters, digits, dots, dashes and underscores, at most 100", ErrPreference)
	case len(value) > maxPreference || !json.Valid(value):
		return fmt.Errorf("%w: the value is JSON of at most %d KiB", ErrPreference, maxPreference>>10)
	}
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var others int
		if err := tx.NewRaw("SELECT count(*) FROM preferences WHERE user_id = ? AND name <> ?", user, name).Scan(ctx, &others); err != nil {
			return err
		}
		if others >= maxPreferences {
			return fmt.Errorf("%w: more than %d: remove some", ErrPreference, maxPreferences)
		}
		_, err := tx.NewRaw("INSERT INTO preferences (user_id, name, value) VALUES (?, ?, ?) ON CONFLICT (user_id, name) DO UPDATE SET value = EXCLUDED.value", user, name, string(value)).Exec(ctx)
		return err
	})
}

// Forget drops a choice. One that is not there is no error.
func (s *Service) Forget(ctx context.Context, name string) error {
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("DELETE FROM preferences WHERE user_id = ? AND name = ?", identity.From(ctx).UserID, name).Exec(ctx)
		return err
	})
}
