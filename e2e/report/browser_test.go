// Package report looks at the HTML report in a real browser: Chromium, driven by its DevTools protocol over a pipe.
package report

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every answer of the browser; a machine that is busy with other tests is slow.
const patience = 90 * time.Second

// browser is one running Chromium.
type browser struct {
	in  *os.File
	out *bufio.Reader

	mu      sync.Mutex
	next    int
	waiting map[int]chan message
	tabs    map[string]*tab
	gone    chan struct{}
}

// message is an answer (ID) or an event (Method) of the protocol.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// startBrowser starts Chromium without a window and with its own profile. It ends with the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("the report is tested in Chromium, which is not installed: apt-get install chromium fonts-noto-cjk")
	}
	toBrowser, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, fromBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "stockade-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--disable-extensions", "--remote-debugging-pipe", "--user-data-dir="+profile, "about:blank")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // descriptors 3 and 4, as --remote-debugging-pipe has them
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	toBrowser.Close()
	fromBrowser.Close()
	b := &browser{in: in, out: bufio.NewReaderSize(out, 1<<20), waiting: map[int]chan message{}, tabs: map[string]*tab{}, gone: make(chan struct{})}
	go b.listen()
	t.Cleanup(func() {
		b.send("", "Browser.close", nil)
		select {
		case <-b.gone:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
		}
		in.Close()
		cmd.Wait()
		out.Close()
		os.RemoveAll(profile)
	})
	return b
}

// listen hands answers to those who wait and events to their tabs.
func (b *browser) listen() {
	defer close(b.gone)
	for {
		data, err := b.out.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(data[:len(data)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		if m.ID != 0 {
			if c := b.waiting[m.ID]; c != nil {
				c <- m
				delete(b.waiting, m.ID)
			}
		} else if tab := b.tabs[m.Session]; tab != nil {
			tab.event(m)
		}
		b.mu.Unlock()
	}
}

func (b *browser) send(session, method string, params any) (int, chan message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	c := make(chan message, 1)
	b.waiting[b.next] = c
	data, err := json.Marshal(map[string]any{"id": b.next, "sessionId": session, "method": method, "params": params})
	if session == "" {
		data, err = json.Marshal(map[string]any{"id": b.next, "method": method, "params": params})
	}
	if err == nil {
		_, err = b.in.Write(append(data, 0))
	}
	return b.next, c, err
}

// call sends a command and waits for its answer.
func (b *browser) call(t *testing.T, session, method string, params, result any) {
	t.Helper()
	_, c, err := b.send(session, method, params)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	select {
	case m := <-c:
		if m.Error != nil {
			t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				t.Fatalf("%s: %v", method, err)
			}
		}
	case <-b.gone:
		t.Fatalf("%s: Chromium ended", method)
	case <-time.After(patience):
		t.Fatalf("%s: no answer within %v", method, patience)
	}
}

// tab is one page, with what it complained about and asked the network for.
type tab struct {
	b        *browser
	session  string
	target   string
	loaded   chan struct{}
	faults   []string
	requests []string
}

// view is how a page is looked at.
type view struct {
	width, height int
	dark          bool
}

// open shows a file.
func (b *browser) open(t *testing.T, file, hash string, v view) *tab {
	t.Helper()
	var made struct {
		TargetID string `json:"targetId"`
	}
	b.call(t, "", "Target.createTarget", map[string]any{"url": "about:blank"}, &made)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.call(t, "", "Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &attached)
	p := &tab{b: b, session: attached.SessionID, target: made.TargetID, loaded: make(chan struct{}, 8)}
	b.mu.Lock()
	b.tabs[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		p.call(t, domain+".enable", nil, nil)
	}
	scheme := "light"
	if v.dark {
		scheme = "dark"
	}
	p.call(t, "Emulation.setDeviceMetricsOverride", map[string]any{"width": v.width, "height": v.height, "deviceScaleFactor": 1, "mobile": v.width < 600}, nil)
	p.call(t, "Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	p.call(t, "Page.navigate", map[string]any{"url": "file://" + file + hash}, nil)
	select {
	case <-p.loaded:
	case <-time.After(patience):
		t.Fatalf("%s: not loaded within %v", file, patience)
	}
	return p
}

func (p *tab) call(t *testing.T, method string, params, result any) {
	t.Helper()
	p.b.call(t, p.session, method, params, result)
}

// close ends the tab; what it complained about until then fails the test.
func (p *tab) close(t *testing.T) {
	t.Helper()
	p.b.call(t, "", "Target.closeTarget", map[string]any{"targetId": p.target}, nil)
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	delete(p.b.tabs, p.session)
	for _, f := range p.faults {
		t.Errorf("the page complains: %s", f)
	}
	if len(p.requests) != 1 || !strings.HasPrefix(p.requests[0], "file://") {
		t.Errorf("the page asked for %q, want itself only", p.requests)
	}
}

// event takes what happens in the page. The browser's lock is held.
func (p *tab) event(m message) {
	switch m.Method {
	case "Page.loadEventFired":
		select {
		case p.loaded <- struct{}{}:
		default:
		}
	case "Runtime.exceptionThrown", "Page.javascriptDialogOpening":
		p.faults = append(p.faults, m.Method+": "+string(m.Params))
	case "Runtime.consoleAPICalled", "Log.entryAdded":
		p.faults = append(p.faults, string(m.Params))
	case "Network.requestWillBeSent":
		var v struct {
			Request struct {
				URL string `json:"url"`
			} `json:"request"`
		}
		if json.Unmarshal(m.Params, &v) == nil {
			p.requests = append(p.requests, v.Request.URL)
		}
	}
}

// eval runs an expression in the page and stores its value.
func (p *tab) eval(t *testing.T, expression string, result any) {
	t.Helper()
	var out struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		ExceptionDetails json.RawMessage `json:"exceptionDetails"`
	}
	p.call(t, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &out)
	if out.ExceptionDetails != nil {
		t.Fatalf("%s: %s", expression, out.ExceptionDetails)
	}
	if result != nil {
		if err := json.Unmarshal(out.Result.Value, result); err != nil {
			t.Fatalf("%s: value %s: %v", expression, out.Result.Value, err)
		}
	}
}

func (p *tab) text(t *testing.T, expression string) string {
	t.Helper()
	var s string
	p.eval(t, expression, &s)
	return s
}

func (p *tab) number(t *testing.T, expression string) int {
	t.Helper()
	var n int
	p.eval(t, expression, &n)
	return n
}

// key presses a key as a user does.
func (p *tab) key(t *testing.T, key string) {
	t.Helper()
	params := map[string]any{"type": "keyDown", "key": key}
	if len(key) == 1 {
		params["text"] = key
	}
	if key == "Enter" {
		params["text"], params["windowsVirtualKeyCode"] = "\r", 13
	}
	if key == "Tab" {
		params["windowsVirtualKeyCode"] = 9
	}
	p.call(t, "Input.dispatchKeyEvent", params, nil)
	p.call(t, "Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key}, nil)
}

// picture saves the page below $STOCKADE_SCREENSHOTS when that is set, for those who want to look themselves.
func (p *tab) picture(t *testing.T, name string, whole bool) {
	t.Helper()
	dir := os.Getenv("STOCKADE_SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct {
		Data string `json:"data"`
	}
	p.call(t, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": whole}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// overflow names the elements that make the page wider than its window.
const overflow = `(() => {
	const w = document.documentElement.clientWidth;
	if (document.documentElement.scrollWidth <= w) return "";
	const wide = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > w + 0.5 && !e.closest(".scroll, pre"));
	return document.documentElement.scrollWidth + " > " + w + ": " + wide.slice(0, 5).map((e) => e.tagName + "." + e.className + "#" + e.id + " " + e.textContent.slice(0, 60)).join(" | ");
})()`

func (p *tab) checkWidth(t *testing.T, when string) {
	t.Helper()
	if s := p.text(t, overflow); s != "" {
		t.Errorf("%s: the page is wider than its window: %s", when, s)
	}
}

// settle waits until the page has done what it does a moment later: toggles, the delay of the search.
func (p *tab) settle(t *testing.T) {
	t.Helper()
	p.eval(t, "new Promise((done) => setTimeout(() => requestAnimationFrame(() => done(1)), 200))", nil)
}
