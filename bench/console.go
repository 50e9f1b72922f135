package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/browse/browsetest"
	"stockade.dev/stockade/internal/store"
)

// loaded is a line of console/stories/load.mjs.
type loaded struct {
	Page          string  `json:"page"`
	Paint         int     `json:"paint"`
	Interactive   int     `json:"interactive"`
	InitialScript int     `json:"initialScriptKB"`
	AllScript     int     `json:"allScriptKB"`
	Style         int     `json:"styleKB"`
	Requests      int     `json:"requests"`
	Shift         float64 `json:"layoutShift"`
}

// console measures how pages load in a browser with a cold cache, on the demo and on a million findings.
func (b *bench) console(options) error {
	b.say("Chromium, cold cache, server on the same machine, median of %d loads. Scripts as they cross the wire (gzip): what was there when "+
		"the page could be used, and all that came after. Goals: interactive under 1,500 ms, initial script under 400 KB, no layout shift.", max(5, b.runs))
	shop, inventories := "demo/shop", "demo/inventories"
	if err := b.loads("The demo", filepath.Join(b.tmp, "console-demo"), "--register-snapshot", shop, "--inventory", inventories, "--db", "bin/db"); err != nil {
		return err
	}
	full := filepath.Join(b.tmp, "console-full")
	db, err := store.Open(b.ctx, store.Options{Dir: full})
	if err != nil {
		return err
	}
	if err := browsetest.Seed(b.ctx, db, browsetest.Large); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	return b.loads("1,000,000 findings", full)
}

var setupLink = regexp.MustCompile(`setup#token=([A-Za-z0-9_-]+)`)

// output keeps what a process writes, for another goroutine to look at.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) find(re *regexp.Regexp) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m := re.FindSubmatch(o.text.Bytes()); m != nil {
		return string(m[1])
	}
	return ""
}

// loads starts a server on a folder, makes its administrator, and loads the pages.
func (b *bench) loads(what, dir string, more ...string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.stockade, append([]string{"server", "--data", dir, "--listen", address, "--debug-listen", ""}, more...)...)
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { cancel(); _ = cmd.Wait() }() // it was asked to end
	token := ""
	for deadline := time.Now().Add(time.Minute); token == ""; time.Sleep(100 * time.Millisecond) {
		if token = out.find(setupLink); token == "" && time.Now().After(deadline) {
			return fmt.Errorf("the server on %s prints no set-up link", dir)
		}
	}
	url := "https://" + address
	if out, err := exec.CommandContext(b.ctx, "node", "console/stories/look.mjs", url, "setup", token).CombinedOutput(); err != nil {
		return fmt.Errorf("set-up: %w: %s", err, out)
	}
	time.Sleep(10 * time.Second) // the demo is scanned, and the process is warm
	node := exec.CommandContext(b.ctx, "node", "console/stories/load.mjs", url, fmt.Sprint(max(5, b.runs)))
	node.Stderr = os.Stderr
	lines, err := node.Output()
	if err != nil {
		return fmt.Errorf("load.mjs: %w", err)
	}
	b.say("\n## %s\n\n| page | first paint ms | interactive ms | initial script KB | all script KB | style KB | requests | layout shift |\n|---|---|---|---|---|---|---|---|", what)
	for line := range strings.Lines(string(lines)) {
		var p loaded
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			return fmt.Errorf("load.mjs: %w: %s", err, line)
		}
		b.say("| %s | %d | %d | %d | %d | %d | %d | %.4f |", p.Page, p.Paint, p.Interactive, p.InitialScript, p.AllScript, p.Style, p.Requests, p.Shift)
	}
	return nil
}
