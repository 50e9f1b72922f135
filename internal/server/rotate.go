package server

import (
	"context"
	"errors"

	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/notify"
	"stockade.dev/stockade/internal/people"
	"stockade.dev/stockade/internal/protect"
	"stockade.dev/stockade/internal/registries"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
)

// RotateKey makes a new key and seals every credential of the database with it. It returns the key's id. On SQLite the server must
// not run; on PostgreSQL servers that share the key file take the new key up by themselves.
func RotateKey(ctx context.Context, p Place) (id string, err error) {
	keys, err := Keys(p.Data)
	if err != nil {
		return "", err
	}
	db, err := store.Open(ctx, store.Options{Dir: p.Data, URL: p.Database})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	authority, err := enrol.Open(ctx, db, keys, nil)
	if err != nil {
		return "", err
	}
	err = keys.Rotate(ctx, func(ctx context.Context) error { return reseal(ctx, db, keys, authority) })
	return keys.Current(), err
}

// reseal seals every credential anew, each room its own.
func reseal(ctx context.Context, db *store.DB, keys *seal.Keys, authority *enrol.Authority) error {
	who, err := people.New(people.Options{DB: db, Keys: keys})
	if err != nil {
		return err
	}
	channels, err := notify.New(db, nil, notify.Options{Keys: keys})
	if err != nil {
		return err
	}
	book, err := registries.New(registries.Options{DB: db, Keys: keys})
	if err != nil {
		return err
	}
	shields := protect.New(protect.Options{DB: db, Keys: keys, Authority: authority})
	return errors.Join(shields.Reseal(ctx, keys.Reseal), book.Reseal(ctx, keys.Reseal), authority.Reseal(ctx), fleet.New(db, keys, fleet.Options{}).Reseal(ctx), who.ResealProviders(ctx, keys.Reseal), channels.Reseal(ctx, keys.Reseal))
}
