package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/identity"
)

// TestDemo adds the bundled cluster: once, under a name that is free, and from files that lie below the data folder.
func TestDemo(t *testing.T) {
	ctx := identity.With(context.Background(), identity.System)
	data := t.TempDir()
	s, err := Open(ctx, Options{Data: data, Listen: "127.0.0.1:0", Version: "test", Demo: smallDemo})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.rooms.tasks.Start(ctx, false); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(s.rooms.tasks.Stop(ctx), s.Close()); err != nil {
			t.Error(err)
		}
	}()
	if _, _, err := s.rooms.fleet.Add(ctx, fleet.Added{Name: "small", Kind: fleet.Connector}); err != nil { // takes the name
		t.Fatal(err)
	}
	first, scan, err := s.rooms.demo.AddDemo(ctx)
	if err != nil || scan == 0 {
		t.Fatal(scan, err)
	}
	again, rescan, err := s.rooms.demo.AddDemo(ctx)
	if err != nil || again != first || rescan != 0 {
		t.Errorf("a second call gives %d with task %d: %v; want %d", again, rescan, err, first)
	}
	c, err := s.rooms.fleet.Get(ctx, identity.Visible{All: true}, first)
	if err != nil || c.Name != "demo small" || c.Kind != fleet.Snapshot || !s.rooms.fleet.IsBundled(ctx, first) {
		t.Errorf("%+v, %v", c, err)
	}
	check, err := s.rooms.fleet.CheckCluster(ctx, first)
	if err != nil || check.State != fleet.Connected {
		t.Errorf("%+v, %v", check, err)
	}
	if _, err := os.Stat(filepath.Join(data, "demo", "small", "all.yaml")); err != nil {
		t.Error(err)
	}
	if err := s.rooms.fleet.Remove(ctx, first); err != nil {
		t.Fatal(err)
	}
	if id, scan, err := s.rooms.demo.AddDemo(ctx); err != nil || id == first || scan == 0 {
		t.Errorf("after it was removed: %d, task %d, %v", id, scan, err)
	}
}
