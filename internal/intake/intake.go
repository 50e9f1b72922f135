// Package intake brings new advisory databases to a running server: files that people upload, artifacts that are pulled from a
// registry, by hand or on a schedule. What comes is checked beside the database in use and put in its place by one rename; scans that
// run keep the one they began with.
package intake

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/database/artifact"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/notify/guard"
	"stockade.dev/stockade/internal/store"
)

// Errors about what was asked for, and about the state of things.
var (
	ErrInvalid  = errors.New("invalid")
	ErrConflict = errors.New("conflict")
)

// MaxBytes bounds a database that is brought: of the file, of each of its layers, and of what those unpack to.
const MaxBytes = 4 << 30

// Options of a Service. DB is needed.
type Options struct {
	DB          *store.DB
	Log         *slog.Logger
	Folder      string // of the database; "" is none
	Given       bool   // the folder was named by an operator: others may use it, too
	TrustedKeys []ed25519.PublicKey
	Places      func(ctx context.Context) ([]registry.Place, error)
	Allow       []string // destinations, see registries.Reachable
	Replica     string   // name of this process
	Now         func() time.Time
	Stall       time.Duration // how long a registry may say nothing
}

// Service brings databases into the folder of this process.
type Service struct {
	o     Options
	guard *guard.Guard

	mu   sync.Mutex
	busy *Busy
}

// New makes a Service.
func New(o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	g, err := guard.New(o.Allow)
	return &Service{o: o, guard: g}, err
}

// Busy is a database on its way.
type Busy struct {
	How       string     `json:"how" enum:"import,pull,schedule"`
	Phase     string     `json:"phase" enum:"receiving,checking"`
	Done      int64      `json:"bytes"`
	Total     int64      `json:"totalBytes,omitempty" doc:"of the part that is on its way"`
	StartedAt store.Time `json:"startedAt" format:"date-time"`
	Source    string     `json:"source,omitempty"`
}

// Update is what became of a database that was brought: a row of advisory_updates.
type Update struct {
	bun.BaseModel `bun:"table:advisory_updates,alias:u" json:"-"`

	ID      int64      `bun:"id,pk,autoincrement" json:"id,string"`
	At      store.Time `bun:"at" json:"at" format:"date-time"`
	Took    int64      `bun:"took" json:"tookMs"`
	How     string     `bun:"how" json:"how" enum:"import,pull,schedule"`
	Actor   string     `bun:"actor" json:"actor"`
	Replica string     `bun:"replica" json:"replica" doc:"process of the server whose folder it is for"`
	Source  string     `bun:"source" json:"source,omitempty" doc:"reference it was pulled from"`
	Result  string     `bun:"result" json:"result" enum:"new,same,failed"`
	Error   string     `bun:"error" json:"error,omitempty" doc:"why it is not used; the database before stays"`
	Digest  string     `bun:"digest" json:"digest,omitempty" doc:"of the artifact"`
	BuiltAt string     `bun:"built_at" json:"builtAt,omitempty"`
}

// Folder says where the database is, and whether another can be put there.
type Folder struct {
	Writable bool   `json:"writable" doc:"files can be imported and databases pulled"`
	Given    bool   `json:"given" doc:"the folder was named when the server was started: other programs may use it"`
	Reason   string `json:"reason,omitempty" enum:"none,read-only" doc:"why nothing can be put there"`
	Detail   string `json:"detail,omitempty"`
}

// Folder looks at the folder.
func (s *Service) Folder() Folder {
	f := Folder{Given: s.o.Given}
	if s.o.Folder == "" {
		f.Reason, f.Detail = "none", "the server has no folder for an advisory database"
		return f
	}
	tmp, err := database.Incoming(s.o.Folder)
	if err != nil {
		f.Reason, f.Detail = "read-only", reason(err)
		return f
	}
	_ = os.Remove(tmp) // empty
	f.Writable = true
	return f
}

// reason is an error of the file system without the path: it is of no use to who reads it in a browser.
func reason(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// Busy tells what is on its way in this process; nil for nothing.
func (s *Service) Busy() *Busy {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy == nil {
		return nil
	}
	b := *s.busy
	return &b
}

// begin makes this process busy: one database comes at a time.
func (s *Service) begin(how, source string) error {
	if f := s.Folder(); !f.Writable {
		return fmt.Errorf("%w: nothing can be written into the folder of the advisory database (%s): give the server one that it may write to, or bring the database there with stockade db pull", ErrConflict, f.Detail)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy != nil {
		return fmt.Errorf("%w: another database is on its way since %s", ErrConflict, s.busy.StartedAt.Format(time.RFC3339))
	}
	s.busy = &Busy{How: how, Phase: "receiving", StartedAt: store.At(s.o.Now()), Source: source}
	return nil
}

func (s *Service) end() {
	s.mu.Lock()
	s.busy = nil
	s.mu.Unlock()
}

func (s *Service) progress(phase string, done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy != nil {
		s.busy.Phase, s.busy.Done, s.busy.Total = phase, done, total
		if done == total && phase == "receiving" && total > 0 {
			s.busy.Phase = "checking" // of a layer; the next one receives again
		}
	}
}

// Updates lists what became of the last databases, newest first.
func (s *Service) Updates(ctx context.Context, limit int64) ([]Update, error) {
	list := []Update{}
	err := s.o.DB.R.NewSelect().Model(&list).OrderExpr("id DESC").Limit(limit).Scan(ctx)
	return list, err
}

// kept is how many rows of advisory_updates stay.
const kept = 500

// note keeps what became of a database and says it in the audit log.
func (s *Service) note(ctx context.Context, u *Update, started time.Time, res *artifact.Result, err error) error {
	ctx = context.WithoutCancel(ctx)
	u.At, u.Took, u.Replica, u.Actor = store.At(started), s.o.Now().Sub(started).Milliseconds(), s.o.Replica, "system"
	if p := identity.From(ctx); p != nil {
		u.Actor = p.Name
	}
	switch {
	case err != nil:
		u.Result, u.Error = "failed", cut(err.Error())
	default:
		u.Result, u.Digest, u.BuiltAt = "new", res.Digest, res.Manifest.BuiltAt
		if res.Same {
			u.Result = "same"
		}
	}
	return s.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		u.ID = 0
		if _, err := tx.NewInsert().Model(u).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model((*Update)(nil)).Where("id <= ?", u.ID-kept).Exec(ctx); err != nil {
			return err
		}
		if u.How == "schedule" && u.Result == "same" {
			return nil // nothing happened
		}
		return audit.Record(ctx, tx, "advisories."+map[string]string{"import": "import", "pull": "pull", "schedule": "pull"}[u.How], "advisory database", 0, nil, u)
	})
}

func cut(s string) string {
	if r := []rune(s); len(r) > 1000 {
		return string(r[:1000]) + "..."
	}
	return s
}

// Import takes a database from a file that is read from r: what stockade db push writes for oci-archive:, or a match.db without texts.
// Nothing changes unless all of it is good.
func (s *Service) Import(ctx context.Context, r io.Reader, size int64) (*Update, error) {
	if err := s.begin("import", ""); err != nil {
		return nil, err
	}
	defer s.end()
	started := s.o.Now()
	tmp, err := database.Incoming(s.o.Folder)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	path := filepath.Join(tmp, "match.db")
	if err := s.receive(path, r, max(size, 0)); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx) // it is all here: a client that leaves does not matter any more
	s.progress("checking", 0, 0)
	res, err := s.take(ctx, path)
	u := &Update{How: "import"}
	if noted := s.note(ctx, u, started, res, err); noted != nil {
		return nil, errors.Join(noted, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return u, nil
}

func (s *Service) receive(path string, r io.Reader, size int64) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	s.progress("receiving", 0, size)
	n, err := io.Copy(out, io.LimitReader(&counted{r: r, s: s, total: size}, MaxBytes+1))
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	switch {
	case n > MaxBytes:
		return fmt.Errorf("%w: the file is larger than %d MiB", ErrInvalid, MaxBytes>>20)
	case n == 0:
		return fmt.Errorf("%w: the file is empty", ErrInvalid)
	}
	return nil
}

// counted tells how much has come.
type counted struct {
	r     io.Reader
	s     *Service
	done  int64
	total int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.s.progress("receiving", c.done, c.total)
	return n, err
}

func (s *Service) take(ctx context.Context, path string) (*artifact.Result, error) {
	if err := plausible(path); err != nil {
		return nil, err
	}
	res, err := artifact.Import(ctx, path, s.o.Folder, artifact.Options{TrustedKeys: s.o.TrustedKeys, MaxBytes: MaxBytes})
	return res, plain(err, s.o.Folder, path)
}

// plain takes paths of this machine out of an error.
func plain(err error, paths ...string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, p := range paths {
		text = replaceAll(text, filepath.Dir(p)+string(filepath.Separator), "")
	}
	return plainError{text, err}
}

type plainError struct {
	text string
	err  error
}

func (e plainError) Error() string { return e.text }
func (e plainError) Unwrap() error { return e.err }

// settingSource is the row of settings that says where databases are pulled from.
const settingSource = "advisories.source"

// Source is where databases are pulled from on a schedule.
type Source struct {
	Reference string `json:"reference" maxLength:"500" doc:"artifact in a registry, as stockade db push writes it; empty: none"`
	Every     int    `json:"everyHours" minimum:"0" maximum:"720" doc:"0: only when asked"`
}

// Source reads where databases are pulled from.
func (s *Service) Source(ctx context.Context) (Source, error) {
	var out Source
	var text string
	err := store.NotFound(s.o.DB.R.NewRaw("SELECT value FROM settings WHERE name = ?", settingSource).Scan(ctx, &text))
	if errors.Is(err, store.ErrNotFound) {
		return out, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &out)
	}
	return out, err
}

// Trusted lists the ids of the keys by one of which a database must be signed; none: any is taken.
func (s *Service) Trusted() []string {
	out := []string{}
	for _, k := range s.o.TrustedKeys {
		out = append(out, database.KeyID(k))
	}
	return out
}
