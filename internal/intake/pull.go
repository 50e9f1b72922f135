package intake

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/database/artifact"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/notify/guard"
)

const (
	maxEntries  = 1000     // of a tar file
	maxDocument = 16 << 20 // of its files that are no blobs
	longest     = 2 * time.Hour
	again       = 15 * time.Minute // after a scheduled pull that failed
)

func replaceAll(s, old, with string) string { return strings.ReplaceAll(s, old, with) }

// plausible looks at the heads of a tar file before it is taken for an OCI layout: few files, and small ones but for the blobs. What is
// no tar file is the database's to judge.
func plausible(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	head := make([]byte, 512)
	if _, err := io.ReadFull(f, head); err != nil {
		return errors.New("the file is too short for an advisory database")
	}
	if string(head[257:262]) != "ustar" {
		return nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r := tar.NewReader(f)
	for n := 0; ; n++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the tar file is damaged: %w", err)
		}
		if n >= maxEntries {
			return fmt.Errorf("the tar file has more than %d entries: it is no advisory database", maxEntries)
		}
		if !strings.HasPrefix(strings.TrimPrefix(h.Name, "./"), "blobs/") && h.Size > maxDocument {
			return fmt.Errorf("%.60q in the tar file is too large: it is no advisory database", h.Name)
		}
	}
}

// referenceForm is a reference in a registry: never a path of this machine, which oci: and oci-archive: would name.
var referenceForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*(:[1-9][0-9]{0,4})?(/[a-z0-9][a-z0-9._-]*)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$`)

func checkReference(ref string) error {
	host, rest, _ := strings.Cut(ref, "/")
	if !referenceForm.MatchString(ref) || rest == "" || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return fmt.Errorf("%w: reference: want one in a registry, such as registry.example.com/security/stockade-db:latest", ErrInvalid)
	}
	return nil
}

// Pull brings the database of a reference, in the background: what is wrong with the request is told at once, what becomes of it by
// Updates. ref "" is that of the settings.
func (s *Service) Pull(ctx context.Context, ref string) error {
	if ref == "" {
		src, err := s.Source(ctx)
		if err != nil {
			return err
		}
		if ref = src.Reference; ref == "" {
			return fmt.Errorf("%w: name a reference, or save one in the settings", ErrInvalid)
		}
	}
	if err := checkReference(ref); err != nil {
		return err
	}
	if err := s.begin("pull", ref); err != nil {
		return err
	}
	err := s.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		return audit.Record(ctx, tx, "advisories.ask", "advisory database", 0, nil, map[string]string{"reference": ref})
	})
	if err != nil {
		s.end()
		return err
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
		defer cancel()
		defer s.end()
		if err := s.pull(ctx, "pull", ref); err != nil {
			s.o.Log.ErrorContext(ctx, "an advisory database that was pulled could not be noted", "error", err)
		}
	}()
	return nil
}

func (s *Service) pull(ctx context.Context, how, ref string) error {
	started := s.o.Now()
	res, err := s.bring(ctx, ref)
	if err != nil {
		err = plain(err, s.o.Folder)
		s.o.Log.WarnContext(ctx, "an advisory database was not taken", "reference", ref, "error", err)
	}
	return s.note(ctx, &Update{How: how, Source: ref}, started, res, err)
}

// bring asks mirrors first, each as what is known of it says.
func (s *Service) bring(ctx context.Context, ref string) (*artifact.Result, error) {
	places, err := s.o.Places(ctx)
	if err != nil {
		return nil, err
	}
	host, rest, _ := strings.Cut(ref, "/")
	candidates := []string{}
	for _, p := range places {
		if p.MirrorOf == registry.Host(host) {
			candidates = append(candidates, p.Address+"/"+rest)
		}
	}
	var errs []error
	for _, c := range append(candidates, ref) {
		res, err := s.from(ctx, c, places)
		if err == nil {
			return res, nil
		}
		errs = append(errs, err)
		if errors.Is(err, database.ErrOlder) || errors.Is(err, database.ErrUnsigned) || errors.Is(err, database.ErrUntrusted) || ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// from pulls from one place.
func (s *Service) from(ctx context.Context, ref string, places []registry.Place) (*artifact.Result, error) {
	host, _, _ := strings.Cut(ref, "/")
	of := func(host string) registry.Place {
		for _, p := range places {
			if p.Address == registry.Host(host) {
				return p
			}
		}
		return registry.Place{}
	}
	o := artifact.Options{TrustedKeys: s.o.TrustedKeys, MaxBytes: MaxBytes, Dial: s.guard.Dial, Insecure: of(host).Insecure, Stall: s.o.Stall,
		Roots:      func(h string) []byte { return of(h).CA },
		Credential: func(h string) (string, string) { p := of(h); return p.Username, p.Password },
		Progress:   func(done, total int64) { s.progress("receiving", done, total) }}
	res, err := artifact.Pull(ctx, ref, s.o.Folder, o)
	if err != nil && o.Insecure && ctx.Err() == nil && strings.Contains(err.Error(), "HTTP response to HTTPS client") {
		o.PlainHTTP = true
		res, err = artifact.Pull(ctx, ref, s.o.Folder, o)
	}
	if errors.Is(err, guard.ErrRefused) {
		return nil, fmt.Errorf("%s: the server does not call this address: %w", host, err)
	}
	return res, err
}

// SetSource says where databases are pulled from.
func (s *Service) SetSource(ctx context.Context, in Source) error {
	in.Reference = strings.TrimSpace(in.Reference)
	if in.Reference != "" {
		if err := checkReference(in.Reference); err != nil {
			return err
		}
	} else if in.Every != 0 {
		return fmt.Errorf("%w: a schedule needs a reference", ErrInvalid)
	}
	before, err := s.Source(ctx)
	if err != nil {
		return err
	}
	return s.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value", settingSource, ledger.JSON(in)).Exec(ctx)
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, "advisories.source", "advisory database", 0, before, in)
	})
}

// NextAt is when this process pulls next; zero for never.
func (s *Service) NextAt(ctx context.Context) (time.Time, error) {
	src, err := s.Source(ctx)
	if err != nil || src.Every == 0 || src.Reference == "" {
		return time.Time{}, err
	}
	var last []Update
	if err := s.o.DB.R.NewSelect().Model(&last).Where("replica = ? AND how IN ('schedule', 'pull') AND source = ?", s.o.Replica, src.Reference).
		OrderExpr("id DESC").Limit(1).Scan(ctx); err != nil {
		return time.Time{}, err
	}
	if len(last) == 0 {
		return s.o.Now(), nil
	}
	every := time.Duration(src.Every) * time.Hour
	if last[0].Result == "failed" {
		every = min(every, again)
	}
	return last[0].At.Add(every), nil
}

// Tick pulls when it is time. Every process does it for the folder that it uses.
func (s *Service) Tick(ctx context.Context) error {
	next, err := s.NextAt(ctx)
	if err != nil || next.IsZero() || s.o.Now().Before(next) || !s.Folder().Writable {
		return err
	}
	src, err := s.Source(ctx)
	if err != nil {
		return err
	}
	if s.begin("schedule", src.Reference) != nil {
		return nil // one is on its way
	}
	defer s.end()
	ctx, cancel := context.WithTimeout(identity.With(ctx, identity.System), longest)
	defer cancel()
	return s.pull(ctx, "schedule", src.Reference)
}
