package task

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/match"
	"stockade.dev/stockade/internal/store"
)

// advisories keeps the advisory database open, and opens another when the folder holds one.
type advisories struct {
	o   *Options
	log *slog.Logger

	mu    sync.Mutex
	now   *advisoryDB
	stamp string // of the files when now was opened, or failed to
	err   error
}

// advisoryDB is an open database, used by several scans.
type advisoryDB struct {
	db              *database.DB
	digest, builtAt string
	match           examine.Matching
	says            *match.Matcher // what publishers say of single packages
	day             string         // matching knows what is past its end of life by the day

	owner *advisories
	users int
}

// use returns the database in the folder, nil when there is none. Its release must be called.
func (a *advisories) use() (*advisoryDB, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.open(); err != nil {
		return nil, err
	}
	if a.now != nil {
		a.now.users++
	}
	return a.now, nil
}

// open looks at the folder. One that cannot be opened ends no use of the one that is open. The caller holds the lock.
func (a *advisories) open() error {
	if a.o.Database == "" {
		return nil
	}
	info, err := os.Stat(filepath.Join(a.o.Database, "match.db"))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && a.now == nil {
			return nil
		}
		if a.now != nil {
			return nil
		}
		return fmt.Errorf("the advisory database: %w", err)
	}
	stamp, day := fmt.Sprint(info.ModTime().UnixNano(), info.Size(), inode(info)), a.o.Now().UTC().Format(time.DateOnly)
	if a.stamp == stamp && (a.now == nil || a.now.day == day) {
		if a.now == nil {
			return a.err
		}
		return nil
	}
	a.stamp = stamp
	db, err := database.Open(a.o.Database, database.Options{TrustedKeys: a.o.TrustedKeys})
	if err != nil {
		a.err = fmt.Errorf("the advisory database: %w", err)
		if a.now != nil {
			a.log.Error("a new advisory database is not used; the one before stays", "error", err)
			return nil
		}
		return a.err
	}
	a.err = nil
	if a.now != nil {
		a.now.drop()
	}
	a.now = &advisoryDB{db: db, digest: db.Digest(), builtAt: db.Info().BuiltAt, day: day, owner: a, users: 1,
		match: examine.Match(match.Over(db), match.Options{Now: a.o.Now(), Owned: a.o.Owned}, a.o.Infer),
		says:  match.NewMatcher(match.Over(db), match.Options{Now: a.o.Now(), Owned: a.o.Owned})}
	return nil
}

// drop ends one use. The caller holds the lock.
func (d *advisoryDB) drop() {
	if d.users--; d.users == 0 {
		if err := d.db.Close(); err != nil {
			d.owner.log.Warn("closing the advisory database", "error", err)
		}
	}
}

func (d *advisoryDB) release() {
	d.owner.mu.Lock()
	defer d.owner.mu.Unlock()
	d.drop()
}

func (a *advisories) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now != nil {
		a.now.drop()
		a.now, a.stamp = nil, ""
	}
}

// Advisories tells which advisory database this process uses.
type Advisories struct {
	Manifest  database.Manifest
	Digest    string
	Signature *database.Signature // nil for an unsigned one
	Checked   bool                // against the trusted keys
	Texts     error               // why there are no texts although the database has some
	Problem   error               // why the one in the folder is not the one that is used
}

// Advisories describes the database that scans begin with now. Without one the error is nil and the digest "".
func (s *Service) Advisories() (Advisories, error) {
	db, err := s.advisories.use()
	if err != nil || db == nil {
		return Advisories{}, err
	}
	defer db.release()
	out := Advisories{Manifest: db.db.Info(), Digest: db.digest, Texts: db.db.TextError()}
	out.Signature, out.Checked = db.db.Signature()
	s.advisories.mu.Lock()
	out.Problem = s.advisories.err
	s.advisories.mu.Unlock()
	return out, nil
}

// settingDatabase is the row of settings that tells which database everything was matched with.
const settingDatabase = "task.database"

// CheckDatabase makes a task for all clusters when the advisory database is a newer one: what their images hold is known, so that
// only their objects are listed anew. The leader calls it.
func (s *Service) CheckDatabase(ctx context.Context) error {
	db, err := s.advisories.use()
	if err != nil || db == nil {
		return err
	}
	defer db.release()
	current := db.builtAt + " " + db.digest
	var t *Task
	err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		t = nil
		var before string
		err := tx.NewRaw("SELECT value FROM settings WHERE name = ?", settingDatabase).Scan(ctx, &before)
		if err = store.NotFound(err); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if current <= before { // a replica may still have an older one
			return nil
		}
		if _, err := tx.NewRaw("INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value", settingDatabase, current).Exec(ctx); err != nil {
			return err
		}
		if before == "" {
			return nil // the first one: nothing was matched before
		}
		t, err = s.create(ctx, tx, Request{Name: "new advisory database", Origin: NewDatabase, Scope: Scope{All: true},
			Parts: []Part{SystemVulnerabilities, ApplicationVulnerabilities, Emergency}})
		if errors.Is(err, ErrInvalid) { // no cluster yet
			t, err = nil, nil
		}
		return err
	})
	if err != nil || t == nil {
		return err
	}
	return s.begin(ctx, t)
}
