package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/task"
)

// demoFolder unpacks the snapshot that comes with the program, once for each process: it may be another than the one of before.
func (s *Server) demoFolder() (string, error) {
	s.demo.Do(func() {
		to := filepath.Join(s.o.Data, "demo")
		if s.demoErr = os.RemoveAll(to); s.demoErr == nil {
			s.demoErr = os.CopyFS(to, s.o.Demo.FS)
		}
	})
	return filepath.Join(s.o.Data, "demo", s.o.Demo.Name), s.demoErr
}

// demo adds the cluster that comes with the program.
type demo struct {
	name  string
	fleet *fleet.Fleet
	tasks *task.Service
}

// AddDemo implements api.Demonstrator.
func (d demo) AddDemo(ctx context.Context) (cluster, scan int64, err error) {
	id, added, err := d.fleet.EnsureDemo(ctx, d.name)
	if err != nil || !added {
		return id, 0, err
	}
	t, err := d.tasks.Create(ctx, task.Request{Name: "First scan of " + d.name, Origin: task.Manual, Scope: task.Scope{Targets: []int64{id}}})
	if err != nil {
		return id, 0, errors.Join(fmt.Errorf("the demo cluster is there, but its scan did not start"), err)
	}
	return id, t.ID, nil
}
