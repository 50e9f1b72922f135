package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"stockade.dev/stockade/internal/server"
)

// TestServerTranscripts runs testdata/server/*.txtar, each against a server of its own that has the demo registered.
func TestServerTranscripts(t *testing.T) {
	shop, err := filepath.Abs(filepath.Join("..", "..", "demo", "shop"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: filepath.Join("testdata", "server"), Setup: func(e *testscript.Env) error {
		data := filepath.Join(e.WorkDir, "data")
		images := imageFlags{scanners: scannerNames, inventories: []string{filepath.Join(shop, "..", "inventories")}, noCache: true}
		tasks, err := images.tasks(data)
		if err != nil {
			return err
		}
		urgent, err := builtin()
		if err != nil {
			return err
		}
		s, err := server.Open(context.Background(), server.Options{Data: data, Listen: "127.0.0.1:0", Version: "test", Tasks: tasks, Emergencies: urgent,
			Register: server.Register{Name: "shop", Snapshot: shop}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx) }()
		e.Defer(func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		for name, value := range map[string]string{"LANG": "C", "HOME": e.WorkDir, "XDG_CONFIG_HOME": filepath.Join(e.WorkDir, "config"), "URL": s.URL(), "PIN": s.Pin(),
			"SETUP": s.SetupURL(), "DATA": data, "STOCKADE_PASSWORD": "correct horse battery", "IAC": filepath.Join(shop, "..", "iac")} {
			e.Setenv(name, value)
		}
		return nil
	}, Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code}})
}
