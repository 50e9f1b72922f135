package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stockade.dev/stockade/internal/people"
	"stockade.dev/stockade/internal/store"
)

// ResetPassword makes the one-time token with which a user sets a new password at /reset#token=TOKEN: for whoever has the machine
// when no administrator can sign in. On SQLite the server must not run.
func ResetPassword(ctx context.Context, p Place, name string) (token string, until time.Time, err error) {
	db, err := store.Open(ctx, store.Options{Dir: p.Data, URL: p.Database})
	if err != nil {
		return "", time.Time{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	who, err := people.New(people.Options{DB: db})
	if err != nil {
		return "", time.Time{}, err
	}
	token, until, err = who.ResetNamed(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("there is no user %q", name)
	}
	return token, until, err
}
