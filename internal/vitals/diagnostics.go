package vitals

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime/debug"
)

// Diagnostics writes a zip for whoever helps the operator: what System says, versions, how the server was started and counters. It
// holds no names of clusters, people or findings, and no secrets.
func (s *Service) Diagnostics(ctx context.Context, w io.Writer) error {
	system, err := s.System(ctx, "en")
	if err != nil {
		return err
	}
	files := []struct {
		name string
		data any
	}{{"system.json", system}, {"versions.json", versions(s.o.Version)}}
	if s.o.Settings != nil {
		files = append(files, struct {
			name string
			data any
		}{"configuration.json", s.o.Settings()})
	}
	counts, err := s.counts(ctx)
	if err != nil {
		return err
	}
	files = append(files, struct {
		name string
		data any
	}{"counts.json", counts})
	z := zip.NewWriter(w)
	add := func(name string, data []byte) error {
		f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: s.o.Now()})
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return err
	}
	for _, f := range files {
		data, err := json.MarshalIndent(f.data, "", "  ")
		if err != nil {
			return err
		}
		if err := add(f.name, append(data, '\n')); err != nil {
			return err
		}
	}
	if s.o.Metrics != nil {
		text, err := s.o.Metrics(ctx)
		if err != nil {
			return err
		}
		if err := add("metrics.txt", text); err != nil {
			return err
		}
	}
	return errors.Join(z.Close())
}

func versions(version string) map[string]any {
	out := map[string]any{"stockade": version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	modules := map[string]string{}
	for _, m := range info.Deps {
		modules[m.Path] = m.Version
	}
	settings := map[string]string{}
	for _, b := range info.Settings {
		switch b.Key {
		case "GOOS", "GOARCH", "CGO_ENABLED", "vcs.revision", "vcs.time", "vcs.modified":
			settings[b.Key] = b.Value
		}
	}
	out["go"], out["modules"], out["build"] = info.GoVersion, modules, settings
	return out
}

// counted are the tables whose rows are few, or counted by an index.
var counted = []struct{ name, query string }{
	{"clusters", "SELECT count(*) FROM clusters"}, {"users", "SELECT count(*) FROM users"}, {"channels", "SELECT count(*) FROM channels"},
	{"registries", "SELECT count(*) FROM registries"}, {"schedules", "SELECT count(*) FROM schedules"}, {"exceptions", "SELECT count(*) FROM exceptions"},
	{"tasks", "SELECT count(*) FROM tasks"}, {"tasksFailed", "SELECT count(*) FROM tasks WHERE status = 'failed'"},
	{"inventories", "SELECT count(*) FROM inventories"},
}

func (s *Service) counts(ctx context.Context) (map[string]int64, error) {
	out := map[string]int64{}
	for _, c := range counted {
		var n int64
		if err := s.o.DB.R.NewRaw(c.query).Scan(ctx, &n); err != nil { //nolint:gosec // our own words
			return nil, err
		}
		out[c.name] = n
	}
	return out, nil
}
