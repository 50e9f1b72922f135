package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// TestServerAwayForAnHour: what is known answers, what is not follows the policy at once and not at the deadline, admissions wait, and
// everything goes on when the server is back.
func TestServerAwayForAnHour(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	w.knows(w.good("docker.io/library/good:1"), w.bad("docker.io/library/bad:1"))
	w.ask(key(1, policy.Block, "good:1"), key(1, policy.Block, "bad:1"))
	w.away(true)
	for range 60 {
		w.clock.add(time.Minute)
		items := w.ask(key(1, policy.Block, "good:1"), key(1, policy.Block, "bad:1"), key(1, policy.Block, "new:1"), key(2, policy.Block, "new:1"))
		for i, want := range []int{0, 1, 0, 1} {
			if m := messages(t, items[i]); len(m) != want {
				t.Fatalf("%s: %q", items[i].key, m)
			}
		}
		allowed(t, w.show(reviewText("v1", "CREATE", testPod, "")), "v1")
	}
	if calls, _ := w.server.questions(); calls != 1 {
		t.Errorf("%d questions were answered while the server was away", calls)
	}
	if why := w.p.notReady(); why != "" {
		t.Errorf("not ready: %s", why)
	}
	if _, err := w.p.link.State(); err == nil {
		t.Error("nobody is told that the server is away")
	}
	w.away(false)
	w.clock.add(time.Minute)
	w.knows(w.good("docker.io/library/new:1"))
	eventually(t, "the server's answer", func() bool {
		w.clock.add(time.Second) // the last try of the hour may have failed only now: the next one is some time after it
		return len(messages(t, w.ask(key(2, policy.Block, "new:1"))[0])) == 0
	})
	if all, lost := w.flush(); len(all) != 60 || lost != 0 {
		t.Errorf("%d admissions, %d lost", len(all), lost)
	}
}

// TestServerSlow: the deadline holds, and the answer that comes later is there for the next one.
func TestServerSlow(t *testing.T) {
	w := newWorld(t)
	w.o.Deadline = 150 * time.Millisecond
	w.start()
	w.pull()
	w.server.delay = make(chan struct{})
	w.knows(w.good("docker.io/library/slow:1"))
	i := w.ask(key(2, policy.Block, "slow:1"))[0]
	if m := messages(t, i); len(m) != 1 || !i.late {
		t.Errorf("%q", m)
	}
	close(w.server.delay)
	eventually(t, "the answer", func() bool { return w.p.memory.Len() == 1 })
	if i := w.ask(key(2, policy.Block, "slow:1"))[0]; len(messages(t, i)) != 0 {
		t.Errorf("%s", i.value)
	}
	if calls, _ := w.server.questions(); calls != 1 {
		t.Errorf("%d questions", calls)
	}
}

// TestProviderRestarted with the server away: policies, verdicts and admissions are there.
func TestProviderRestarted(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	w.knows(w.good("docker.io/library/good:1"), w.bad("docker.io/library/bad:1"))
	w.ask(key(1, policy.Block, "good:1"), key(1, policy.Block, "bad:1"))
	w.p.memory.SetSerial(123)
	allowed(t, w.show(reviewText("v1", "CREATE", testPod, "")), "v1")
	w.p.rec.run()
	w.p.rec.close()
	w.p.spool.Close(true)
	if err := w.p.memory.Flush(); err != nil {
		t.Fatal(err)
	}
	w.away(true)
	w.start()
	if why := w.p.notReady(); why != "" {
		t.Errorf("not ready: %s", why)
	}
	items := w.ask(key(1, policy.Block, "good:1"), key(1, policy.Block, "bad:1"))
	if len(messages(t, items[0])) != 0 || items[0].late || len(messages(t, items[1])) != 1 {
		t.Errorf("%s %s", items[0].value, items[1].value)
	}
	if w.p.memory.Serial() != 123 {
		t.Errorf("serial %d", w.p.memory.Serial())
	}
	w.away(false)
	if all, lost := w.flush(); len(all) != 1 || lost != 0 {
		t.Errorf("%d admissions, %d lost", len(all), lost)
	}
}

// TestCertificateExpiredThenReplaced: first the doors' (it is still served, whoever checks refuses), then the link's.
func TestCertificateExpiredThenReplaced(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	w.clock.add(25 * time.Hour)
	if problems, ends := w.p.certs.problems(); len(problems) != 1 || !strings.Contains(problems[0], "has ended") || ends["provider"].IsZero() {
		t.Errorf("%q %v", problems, ends)
	}
	old := w.p.certs.current()
	cert, k := w.doors.sign(w.clock.Now().Add(-time.Hour), w.clock.Now().Add(48*time.Hour))
	w.write("tls/tls.crt", cert)
	w.clock.add(lookTime) // half of the pair: that of before stays
	if got := w.p.certs.current(); got != old {
		t.Error("half of a pair was taken")
	}
	if problems, _ := w.p.certs.problems(); len(problems) != 2 {
		t.Errorf("%q", problems)
	}
	w.write("tls/tls.key", k)
	w.clock.add(lookTime)
	if problems, ends := w.p.certs.problems(); len(problems) != 0 || !ends["provider"].After(w.clock.Now()) {
		t.Errorf("%q %v", problems, ends)
	}
	// The link's: the server refuses it, and takes the new one.
	w.linked(time.Now().Add(-time.Hour))
	w.clock.add(lookTime)
	if _, err := w.p.link.Beat(t.Context(), w.p.Beat()); err == nil {
		t.Fatal("an expired certificate was let in")
	}
	if b := w.p.Beat(); !slices.ContainsFunc(b.Problems, func(s string) bool { return strings.Contains(s, "link") }) {
		t.Errorf("%q", b.Problems)
	}
	w.linked(time.Now().Add(48 * time.Hour))
	w.clock.add(lookTime)
	if _, err := w.p.link.Beat(t.Context(), w.p.Beat()); err != nil {
		t.Errorf("the new certificate: %v", err)
	}
}

// TestClientCertificates: Gatekeeper's authority is needed for questions, also after it changed; a stranger's is of no use.
func TestClientCertificates(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	q := question(1)
	for _, path := range []string{"/validate", "/mutate"} {
		if code, out := w.post(path, q, false); code != http.StatusForbidden || out.Response.SystemError == "" {
			t.Errorf("%s without a certificate: %d", path, code)
		}
		if code, _ := w.post(path, q, true); code != http.StatusOK {
			t.Errorf("%s: %d", path, code)
		}
	}
	mine := w.gk
	w.gk = newAuthority(t, "stranger")
	if code, _ := w.post("/validate", q, true); code != http.StatusForbidden {
		t.Errorf("a stranger: %d", code)
	}
	w.write("tls/client-ca.crt", append(mine.pem(), w.gk.pem()...)) // Gatekeeper's authority is being replaced
	w.clock.add(lookTime)
	if code, _ := w.post("/validate", q, true); code != http.StatusOK {
		t.Errorf("the new authority: %d", code)
	}
	if err := os.Remove(filepath.Join(w.dir, "tls/client-ca.crt")); err != nil {
		t.Fatal(err)
	}
	w.clock.add(lookTime)
	if code, _ := w.post("/validate", q, true); code != http.StatusForbidden {
		t.Errorf("without an authority: %d", code)
	}
}

// TestReadOnlyDataFolder, or a full disk: answers and records go on, and it is told.
func TestReadOnlyDataFolder(t *testing.T) {
	w := newWorld(t)
	w.write("data", []byte("a file where the folder should be: nothing can be written there, whoever runs the test"))
	w.start()
	w.pull()
	w.knows(w.good("docker.io/library/good:1"), w.good("docker.io/library/bad:1"))
	if i := w.ask(key(2, policy.Block, "good:1"))[0]; len(messages(t, i)) != 0 {
		t.Errorf("%s", i.value)
	}
	if w.p.memory.Flush() == nil {
		t.Error("the verdicts were written")
	}
	allowed(t, w.show(reviewText("v1", "CREATE", testPod, "")), "v1")
	w.p.rec.run()
	w.p.rec.close()
	w.p.spool.Close(true)
	if b := w.p.Beat(); len(b.Problems) < 3 {
		t.Errorf("%q", b.Problems)
	}
	if _, err := w.p.send(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if all, lost := w.server.admitted(); len(all) != 1 || lost != 0 {
		t.Errorf("%d admissions, %d lost", len(all), lost)
	}
	// Room again.
	if err := os.Remove(filepath.Join(w.dir, "data")); err != nil {
		t.Fatal(err)
	}
	w.p.keep(w.p.force.Load())
	w.clock.add(noteTime + time.Minute) // what was dropped is told for a while
	if err := w.p.memory.Flush(); err != nil || w.p.has("disk") || len(w.p.memory.Problems()) != 0 {
		t.Errorf("%v %q", err, w.p.problems())
	}
	w.away(true)
	w.start()
	if i := w.ask(key(2, policy.Block, "good:1"))[0]; len(messages(t, i)) != 0 {
		t.Errorf("after a restart: %s", i.value)
	}
}

// TestDamagedCacheFiles are dropped with a note, and everything is asked for anew.
func TestDamagedCacheFiles(t *testing.T) {
	for _, name := range []string{"data/bundle.json", "data/verdicts"} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			w := newWorld(t)
			w.start()
			w.pull()
			w.knows(w.good("docker.io/library/good:1"))
			w.ask(key(2, policy.Block, "good:1"))
			if err := w.p.memory.Flush(); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(w.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			text[len(text)/2] ^= 0x55
			w.write(name, text)
			w.start()
			if b := w.p.Beat(); !slices.ContainsFunc(b.Problems, func(s string) bool { return strings.Contains(s, "dropped") }) {
				t.Errorf("%q", b.Problems)
			}
			if w.p.memory.Len() != 0 {
				t.Error("a verdict was believed")
			}
			if w.p.force.Load() == nil {
				w.pull()
			}
			if i := w.ask(key(2, policy.Block, "good:1"))[0]; len(messages(t, i)) != 0 {
				t.Errorf("%s", i.value)
			}
		})
	}
}

// TestClockJumps: a day ahead and two days back change no answer, and nothing waits for a time that does not come.
func TestClockJumps(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	w.knows(w.good("docker.io/library/good:1"), w.bad("docker.io/library/bad:1"))
	for _, d := range []time.Duration{0, 24 * time.Hour, -48 * time.Hour, 24 * time.Hour} {
		w.clock.add(d)
		items := w.ask(key(1, policy.Block, "good:1"), key(1, policy.Block, "bad:1"))
		if len(messages(t, items[0])) != 0 || len(messages(t, items[1])) != 1 {
			t.Errorf("after %s: %s %s", d, items[0].value, items[1].value)
		}
		allowed(t, w.show(reviewText("v1", "CREATE", testPod, "")), "v1")
		w.p.answered.add(time.Millisecond, false)
		if s := w.p.answered.service(); s.Count < 1 || s.P50 <= 0 {
			t.Errorf("after %s: %+v", d, s)
		}
	}
	// The server was away while the clock jumped back: it is tried again all the same.
	w.away(true)
	w.clock.add(time.Minute)
	w.ask(key(1, policy.Block, "new:1"), key(1, policy.Block, "new:2"))
	w.ask(key(1, policy.Block, "new:3"))
	w.clock.add(-24 * time.Hour)
	w.away(false)
	w.knows(w.good("docker.io/library/new:1"))
	eventually(t, "the server to be tried", func() bool { return len(messages(t, w.ask(key(2, policy.Block, "new:1"))[0])) == 0 })
	if all, lost := w.flush(); len(all) != 4 || lost != 0 {
		t.Errorf("%d admissions, %d lost", len(all), lost)
	}
}

// TestBatchSentTwice: the answer got lost, so the batch comes again under its id, and the server takes it once. Batches of two replicas
// have ids of their own.
func TestBatchSentTwice(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	w.knows(w.good("docker.io/library/bad:1"))
	allowed(t, w.show(reviewText("v1", "CREATE", testPod, "")), "v1")
	w.p.rec.run()
	w.p.rec.close()
	w.p.spool.Close(true)
	w.server.cutNext = true
	if _, err := w.p.send(t.Context(), 10); err == nil {
		t.Fatal("the answer was not lost")
	}
	w.clock.add(time.Minute)
	w.start() // and the provider starts anew before it sends again
	if _, err := w.p.send(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if len(w.server.sent) != 2 || w.server.sent[0] != w.server.sent[1] || len(w.server.taken) != 1 {
		t.Errorf("sent %q", w.server.sent)
	}
	other := *w
	other.o.Data, other.o.Replica = filepath.Join(w.dir, "other"), "stockade-provider-1"
	other.start()
	other.pull()
	allowed(t, other.show(reviewText("v1", "CREATE", testPod, "")), "v1")
	if all, _ := other.flush(); len(all) != 2 || len(w.server.taken) != 2 {
		t.Errorf("%d admissions in %d batches", len(all), len(w.server.taken))
	}
}

// TestRefusedBatch is dropped, and its admissions are counted as lost in the next one.
func TestRefusedBatch(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	allowed(t, w.show(reviewText("v1", "CREATE", testPod, "")), "v1")
	w.server.refuse = http.StatusBadRequest
	w.flush()
	w.server.mu.Lock()
	w.server.refuse = 0
	w.server.mu.Unlock()
	w.p.spool.Close(true)
	if _, err := w.p.send(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if all, lost := w.server.admitted(); len(all) != 0 || lost != 1 {
		t.Errorf("%d admissions, %d lost", len(all), lost)
	}
}

// TestServerReset: the server lost count of its changes. What is known here is asked for anew.
func TestServerReset(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	w.knows(w.bad("docker.io/library/app:1"))
	w.ask(key(1, policy.Block, "app:1"))
	w.p.takeChanges(&protocol.Changes{Reset: true, Serial: 200}, w.p.epoch())
	w.knows(w.good("docker.io/library/app:1"))
	if i := w.ask(key(1, policy.Block, "app:1"))[0]; len(messages(t, i)) != 0 {
		t.Errorf("%s", i.value)
	}
	w.p.takeChanges(&protocol.Changes{Reset: true, Serial: 201}, w.p.epoch())
	w.away(true)
	if i := w.ask(key(2, policy.Block, "app:1"))[0]; len(messages(t, i)) != 0 {
		t.Errorf("what was known last counts while nobody can be asked: %s", i.value)
	}
	w.away(false)
	w.clock.add(time.Minute)
	before, _ := w.server.questions()
	w.p.catchUp(w.p.force.Load())
	eventually(t, "the verdict to be asked for by itself", func() bool { after, _ := w.server.questions(); return after > before })
}

// TestRun: everything together, over real connections: start without a server, policies, a question, a record, a change, and the end with
// nothing left behind.
func TestRun(t *testing.T) {
	w := newWorld(t)
	w.o.Now = time.Now
	cert, k := w.doors.sign(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	w.write("tls/tls.crt", cert)
	w.write("tls/tls.key", k)
	w.o.Listen, w.o.Health, w.o.Drain = "127.0.0.1:0", "127.0.0.1:0", 300*time.Millisecond
	addresses := make(chan [2]string, 1)
	w.o.Ready = func(d, h net.Addr) { addresses <- [2]string{d.String(), h.String()} }
	w.clock.now = time.Now()
	w.knows(w.bad("docker.io/library/bad:1"))
	w.away(true)
	w.start()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.p.Run(ctx) }()
	at := <-addresses
	get := func(path string) (int, string) {
		res, err := http.Get("http://" + at[1] + path) //nolint:noctx // a test
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = res.Body.Close() }()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text)
	}
	if code, _ := get("/healthz"); code != 200 {
		t.Errorf("healthz %d", code)
	}
	if code, text := get("/readyz"); code != 503 || !strings.Contains(text, "no policies") {
		t.Errorf("readyz %d %s", code, text)
	}
	w.away(false)
	eventually(t, "ready", func() bool { code, _ := get("/readyz"); return code == 200 })
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: w.doors.pool(), Certificates: []tls.Certificate{w.gk.pair()}}}}
	plain := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: w.doors.pool()}}}
	post := func(c *http.Client, path, body string) (int, string) {
		res, err := c.Post("https://"+at[0]+path, "application/json", strings.NewReader(body)) //nolint:noctx // a test
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = res.Body.Close() }()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text)
	}
	body := strings.Replace(string(question(1)), `"x"`, `"`+key(1, policy.Block, "bad:1")+`"`, 1)
	if code, text := post(client, "/validate", body); code != 200 || !strings.Contains(text, "CVE-2021-44228") {
		t.Errorf("%d %s", code, text)
	}
	if code, _ := post(plain, "/validate", body); code != 403 {
		t.Errorf("without a certificate: %d", code)
	}
	if code, text := post(plain, "/record", string(reviewText("v1", "CREATE", testPod, ""))); code != 200 || !strings.Contains(text, `"allowed":true`) {
		t.Errorf("%d %s", code, text)
	}
	eventually(t, "the record", func() bool { all, _ := w.server.admitted(); return len(all) == 1 })
	eventually(t, "a beat", func() bool {
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		return len(w.server.beats) > 0
	})
	eventually(t, "changes to be followed", func() bool { return w.p.memory.Serial() >= 100 })
	w.server.tell(func() {
		w.server.serial = 101
		w.server.changes = append(w.server.changes, protocol.Changes{Serial: 101, Verdicts: []policy.ImageVerdict{w.good("docker.io/library/bad:1")}})
	})
	eventually(t, "the change", func() bool {
		_, text := post(client, "/validate", body)
		return strings.Contains(text, `"messages":[]`)
	})
	if code, text := get("/metrics"); code != 200 || !strings.Contains(text, "stockade_provider_request_seconds") || !strings.Contains(text, "stockade_provider_server_reachable 1") {
		t.Errorf("metrics %d", code)
	}
	if code, text := post(plain, "/record", string(reviewText("v1", "UPDATE", testPod, ""))); code != 200 {
		t.Errorf("%d %s", code, text)
	}
	cancel()
	eventually(t, "stopping to be told", func() bool { code, _ := get("/readyz"); return code == 503 || code == 0 })
	if code, text := post(client, "/validate", body); code != 200 { // it serves on meanwhile
		t.Errorf("while stopping: %d %s", code, text)
	}
	if err := <-ended; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if all, _ := w.server.admitted(); len(all) != 2 {
		t.Errorf("%d admissions were sent before the end", len(all))
	}
}

// TestSerialOfBeats: a server that knows of newer changes for two beats is asked anew, one that counts behind for long was restored.
func TestSerialOfBeats(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.p.memory.SetSerial(100)
	waiting := w.p.changes.begin(t.Context())
	var s standing
	beat := func(serial int64) { w.p.heed(&protocol.BeatAnswer{Serial: serial}, &s) }
	for _, serial := range []int64{100, 101} { // changes may be on their way
		if beat(serial); waiting.Err() != nil {
			t.Fatalf("asked anew at %d", serial)
		}
	}
	w.p.memory.SetSerial(101) // they came
	if beat(102); waiting.Err() != nil {
		t.Fatal("asked anew although changes come")
	}
	if beat(102); waiting.Err() == nil {
		t.Fatal("the question waits though the server has changes for two beats")
	}
	waiting = w.p.changes.begin(t.Context())
	for range mostBehind - 1 {
		beat(50)
	}
	if w.p.memory.Serial() != 101 || waiting.Err() != nil {
		t.Fatalf("serial %d, %v", w.p.memory.Serial(), waiting.Err())
	}
	if beat(50); w.p.memory.Serial() != 50 {
		t.Errorf("the server counts from 50 on, the provider from %d", w.p.memory.Serial())
	}
	w.p.heed(&protocol.BeatAnswer{Serial: 60, Gone: true}, &s)
	w.p.heed(&protocol.BeatAnswer{Serial: 60, Gone: true}, &s)
	if waiting.Err() != nil {
		t.Error("protection was ended, and changes are asked for")
	}
}
