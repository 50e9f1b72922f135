package verdict

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/task"
)

const till1 = "registry.example.com/shop/till:1.0"

var hex64 = func(i int) string { return fmt.Sprintf("sha256:%064x", i) }

// TestUnknownImage: an image that nobody knows is scanned at once; when it was read the verdict is there, and told as a change.
func TestUnknownImage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.name(till1, hex64(1))
		v := w.ask(till1)[0]
		w.want(v, "scanning")
		if v.Digest != hex64(1) || v.Serial == 0 {
			t.Errorf("%+v", v)
		}
		w.keep()
		w.ask(till1)
		w.keep()
		if len(w.tasks) != 1 || w.tasks[0].Origin != task.Admission || len(w.tasks[0].Scope.Images) != 1 {
			t.Fatalf("%+v", w.tasks)
		}
		if img := w.tasks[0].Scope.Images[0]; img.Target != w.target || img.Namespace != "shop" || img.PullSecrets[0] != "regcred" || img.Digest != hex64(1) || img.Reference != till1 {
			t.Errorf("%+v", img)
		}
		if c := w.changes(v.Serial); len(c.Verdicts) != 0 || c.Serial < v.Serial {
			t.Errorf("%+v", c)
		}
		w.image(hex64(100), hex64(1), vulnerableTo("CVE-2026-0001", finding.Critical), vulnerableTo("CVE-2026-0002", finding.High))
		w.pass(3 * time.Second)
		w.keep()
		c := w.changes(v.Serial)
		if len(c.Verdicts) != 1 || c.Verdicts[0].Serial <= v.Serial || c.Serial < c.Verdicts[0].Serial {
			t.Fatalf("%+v", c)
		}
		w.want(c.Verdicts[0], "scanned 1/0:vulnerability")
		w.want(w.ask(till1)[0], "scanned 1/0:vulnerability")
		if len(w.turned) != 0 { // told in the next round
			t.Error(w.turned)
		}
		w.keep()
		if len(w.turned) != 1 || w.turned[0][0].State != policy.Scanning || w.turned[0][1].State != policy.Known {
			t.Errorf("an image that was let in turned bad: %+v", w.turned)
		}
		if w.matched[hex64(100)] != 1 {
			t.Errorf("matched %d times", w.matched[hex64(100)])
		}
		s, err := w.s.Serial(t.Context(), w.target)
		if err != nil || s != c.Verdicts[0].Serial {
			t.Error(s, err)
		}
	})
}

// TestOneName: the same image in every spelling is one question, and the same digest under two names is matched once. What is no
// name of an image is answered, and asked nowhere.
func TestOneName(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.image(hex64(1), "")
		w.name("docker.io/library/nginx:latest", hex64(1))
		w.name(till1, hex64(1))
		list := w.ask("nginx", "nginx:latest", "docker.io/nginx", "Docker.IO/library/nginx:latest", "index.docker.io/library/nginx", till1, "REGISTRY.example.com/shop/till:1.0",
			"nginx@"+hex64(1), "nginx:9@"+hex64(1), "", "../etc", "NGINX:1", "nginx ", "регистр.example.com/till", strings.Repeat("a", 5000), "nginx\n|x")
		for i, v := range list {
			if i < 9 {
				w.want(v, "scanned")
			} else if v.State != policy.Unread || len(v.Reference) > 400 || strings.Contains(v.Reference, "\n") {
				t.Errorf("%+v", v)
			}
		}
		if len(w.asked) != 2 || w.asked["docker.io/library/nginx:latest"] != 1 || w.matched[hex64(1)] != 1 {
			t.Errorf("asked %v, matched %v", w.asked, w.matched)
		}
		var rows int
		if err := db.R.NewRaw("SELECT count(*) FROM verdicts").Scan(t.Context(), &rows); err != nil || rows != 4 {
			t.Error(rows, err)
		}
	})
}

// TestMovedTag: verdicts are of what the tag stands for when it is asked, at most a minute before.
func TestMovedTag(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.image(hex64(1), "")
		w.image(hex64(2), "", vulnerableTo("CVE-2026-0001", finding.Critical))
		w.name(till1, hex64(1))
		first := w.ask(till1)[0]
		w.want(first, "scanned")
		w.name(till1, hex64(2))
		w.pass(59 * time.Second)
		w.want(w.ask(till1)[0], "scanned")
		w.pass(2 * time.Second)
		v := w.ask(till1)[0]
		w.want(v, "scanned 1/0:vulnerability")
		if v.Digest != hex64(2) || v.Serial <= first.Serial {
			t.Errorf("%+v", v)
		}
		w.keep()
		if len(w.turned) != 0 {
			t.Error("another image is no image that turned bad")
		}
		w.pass(2 * time.Minute) // nothing moved: the answer stays, and is fresh again
		again := w.ask(till1)[0]
		if again.Serial != v.Serial || !again.Resolved.Equal(w.clock()) {
			t.Errorf("%+v", again)
		}
		before := w.asked[till1]
		w.ask(till1)
		if w.asked[till1] != before {
			t.Error("the registry is asked again within a minute")
		}
	})
}

// TestRegistryAway: the last known resolution, what pods run, or nothing; and the question does not wait for a registry that is
// slow or does not answer at all.
func TestRegistryAway(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.image(hex64(1), "")
		w.image(hex64(2), "", vulnerableTo("CVE-2026-0001", finding.Critical))
		w.name(till1, hex64(1))
		w.want(w.ask(till1, "x@"+hex64(2))[0], "scanned")
		w.s.o.Patience = 50 * time.Millisecond
		w.exec("INSERT INTO assets (target_id, kind, name, digest, first_seen, listed) VALUES (?, ?, 'nginx', ?, 1, ?)", w.target, ledger.AssetImage, hex64(2), true)
		w.mu.Lock()
		release := make(chan struct{})
		w.resolve = func(ctx context.Context, ref string) (string, error) {
			if strings.Contains(ref, "slow") {
				<-release
				return hex64(1), nil
			}
			if strings.Contains(ref, "denied") {
				return "", coded{"forbidden"}
			}
			return "", coded{"unreachable"}
		}
		w.mu.Unlock()
		w.pass(10 * time.Minute)
		const slow = "registry.example.com/slow:1"
		list := w.ask(till1, "nginx", slow, "registry.example.com/denied:1", "registry.example.com/away:1")
		w.want(list[0], "scanned")
		w.want(list[1], "scanned 1/0:vulnerability")
		w.want(list[2], "unknown")
		w.want(list[3], "failed")
		w.want(list[4], "unknown")
		for _, v := range list[2:] {
			if v.Reason == "" || v.Digest != "" {
				t.Errorf("%+v", v)
			}
		}
		close(release)
		w.pass(20 * time.Second)
		w.s.o.Patience = 20 * time.Second
		w.keep() // the answer that came late is used
		w.want(w.ask(slow)[0], "scanned")
	})
}

// TestThousand: a thousand unknown images in one question are one task; more are refused; asked again they are not scanned again.
func TestThousand(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		var refs []string
		for i := range protocol.MaxImages {
			refs = append(refs, fmt.Sprintf("registry.example.com/app-%d@%s", i, hex64(i+1)))
		}
		for range 3 {
			for _, v := range w.ask(refs...) {
				if v.State != policy.Scanning {
					t.Fatalf("%+v", v)
				}
			}
			w.keep()
		}
		if len(w.tasks) != 1 || len(w.wanted()) != protocol.MaxImages {
			t.Errorf("%d tasks with %d images", len(w.tasks), len(w.wanted()))
		}
		if len(w.asked) != 0 {
			t.Error("a registry was asked what a digest stands for")
		}
		var req protocol.ImagesRequest
		for range protocol.MaxImages + 1 {
			req.Images = append(req.Images, protocol.Image{Reference: "nginx"})
		}
		if _, err := w.s.Images(t.Context(), w.target, req); !errors.Is(err, ErrTooMany) {
			t.Error(err)
		}
		if _, err := w.s.Images(t.Context(), w.target+1, protocol.ImagesRequest{}); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

// TestFailedScan: an image that cannot be read is told with the reason, and tried again later and later.
func TestFailedScan(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.name(till1, hex64(1))
		w.ask(till1)
		w.keep()
		w.readings[hex64(1)] = task.Reading{Code: "broken", Why: "layer 2 is no tar", At: w.clock()}
		w.pass(3 * time.Second)
		w.keep()
		v := w.ask(till1)[0]
		w.want(v, "failed")
		if v.Reason != "the image cannot be read: layer 2 is no tar" || len(w.tasks) != 1 {
			t.Errorf("%+v, %d tasks", v, len(w.tasks))
		}
		w.pass(70 * time.Second)
		w.keep()
		w.keep()
		if len(w.tasks) != 2 {
			t.Errorf("%d tasks", len(w.tasks))
		}
		w.readings[hex64(1)] = task.Reading{Code: "broken", Why: "layer 2 is no tar", At: w.clock()}
		w.pass(90 * time.Second)
		w.keep()
		w.keep()
		if len(w.tasks) != 2 {
			t.Error("tried again too soon")
		}
		w.pass(time.Minute)
		w.keep()
		w.keep()
		if len(w.tasks) != 3 {
			t.Errorf("%d tasks", len(w.tasks))
		}
	})
}

// TestPolicyChanges: another policy or exception makes all verdicts anew, some at a time; only those that differ are changes.
func TestPolicyChanges(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.s.scale.page = 7
		var refs []string
		for i := range 50 {
			sev := finding.High
			if i%5 == 0 {
				sev = finding.Critical
			}
			w.image(hex64(i+1), "", vulnerableTo("CVE-2026-0001", sev))
			refs = append(refs, fmt.Sprintf("registry.example.com/app-%d@%s", i, hex64(i+1)))
		}
		var last int64
		for i, v := range w.ask(refs...) {
			if i%5 == 0 {
				w.want(v, "scanned 1/0:vulnerability")
			} else {
				w.want(v, "scanned")
			}
			last = max(last, v.Serial)
		}
		p := policy.Policy{ID: 1, Name: "no high", Action: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities, Severity: finding.High}}}
		w.policies(p)
		w.s.scale.budget = -1 // as if there were no time: nothing is done, nothing is lost
		w.keep()
		w.s.scale.budget = time.Minute
		w.want(w.ask(refs[1])[0], "scanned 1/0:vulnerability") // asked before its turn
		w.keep()
		c := w.changes(last)
		if len(c.Verdicts) != 50 {
			t.Errorf("%d changes", len(c.Verdicts)) // of the critical ones the message is another
		}
		last = c.Serial
		p.Name, p.Description = "renamed", "says nothing of images"
		w.policies(p)
		w.keep()
		if c := w.changes(last); len(c.Verdicts) != 0 {
			t.Errorf("%d changes by a name", len(c.Verdicts))
		}
		w.mu.Lock()
		w.bundle.Exceptions = []exception.Exception{{ID: 1, Scope: exception.Scope{CVE: "CVE-2026-0001", Digest: hex64(3)}, Reason: "r", Expires: w.now.Add(time.Hour)}}
		w.bundle.Generation += "x"
		w.mu.Unlock()
		w.keep()
		if c = w.changes(last); len(c.Verdicts) != 1 || c.Verdicts[0].Digest != hex64(3) || len(c.Verdicts[0].Failed) != 0 {
			t.Errorf("%+v", c.Verdicts)
		}
		w.pass(61 * time.Minute) // the exception ends, though nobody says so
		w.keep()
		if c = w.changes(c.Serial); len(c.Verdicts) != 1 || len(c.Verdicts[0].Failed) != 1 {
			t.Errorf("%+v", c.Verdicts)
		}
		w.keep()
		for n := range w.matched {
			if w.matched[n] != 1 {
				t.Errorf("%s was matched %d times", n, w.matched[n])
			}
		}
	})
}

// TestNewAdvisories: another advisory database has asked images matched anew, without a scan; who was let in and is worse now is told,
// until somebody hears it. Until then the verdict before stands.
func TestNewAdvisories(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		good, bad := "registry.example.com/good@"+hex64(1), "registry.example.com/bad@"+hex64(2)
		w.image(hex64(1), "")
		w.image(hex64(2), "")
		w.image(hex64(3), "")
		w.ask(good, bad, "registry.example.com/dropped@"+hex64(3))
		w.exec("DELETE FROM verdicts WHERE manifest = ?", hex64(3))
		w.keep()
		serial := w.changes(0).Serial
		w.mu.Lock()
		w.stamp = "two"
		w.findings[hex64(2)] = []*finding.Finding{vulnerableTo("CVE-2026-0009", finding.Critical)}
		w.deaf = errors.New("busy")
		w.mu.Unlock()
		w.want(w.ask(bad)[0], "scanned") // still
		w.keep()
		c := w.changes(serial)
		if len(c.Verdicts) != 1 || c.Verdicts[0].Digest != hex64(2) {
			t.Fatalf("%+v", c.Verdicts)
		}
		w.want(w.ask(bad)[0], "scanned 1/0:vulnerability")
		if err := w.s.Keep(t.Context()); err == nil || len(w.turned) > 0 {
			t.Error("nobody hears, and nothing is told of that", err)
		}
		w.mu.Lock()
		w.deaf = nil
		w.mu.Unlock()
		w.keep()
		w.keep()
		if len(w.turned) != 1 || len(w.turned[0][0].Failed) != 0 || len(w.turned[0][1].Failed) != 1 {
			t.Errorf("%+v", w.turned)
		}
		if w.matched[hex64(1)] != 2 || w.matched[hex64(2)] != 2 || w.matched[hex64(3)] != 1 {
			t.Errorf("matched %v", w.matched)
		}
		if len(w.tasks) != 0 {
			t.Error("images were read again")
		}
		w.policies(policy.Policy{ID: 2, Name: "nothing from there", Action: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Registry, Allow: []string{"docker.io/*"}}}})
		w.keep()
		w.keep()
		if len(w.turned) != 1 {
			t.Error("a policy that changed is no image that turned bad")
		}
	})
}

// TestSlowMatching: an image that was read and takes long to match does not hold the question up; what was known of it before stays.
func TestSlowMatching(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.s.o.Patience = 50 * time.Millisecond
		ref := "registry.example.com/big@" + hex64(1)
		w.image(hex64(1), "")
		hold := make(chan struct{})
		w.match = func(string) error { <-hold; return nil }
		w.want(w.ask(ref)[0], "scanning")
		hold <- struct{}{}
		w.pass(time.Minute)
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			var n int
			if err := db.R.NewRaw("SELECT count(*) FROM verdict_facts").Scan(t.Context(), &n); err != nil || time.Now().After(end) {
				t.Fatal(n, err)
			}
			if n == 1 {
				break
			}
		}
		w.want(w.ask(ref)[0], "scanned")
		w.pass(time.Minute)
		w.image(hex64(1), "", vulnerableTo("CVE-2026-0001", finding.Critical)) // read again
		w.policies(policy.Policy{ID: 1, Name: "x", Action: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities}}})
		w.want(w.ask(ref)[0], "scanned")
		hold <- struct{}{}
		w.match = nil
		w.pass(time.Minute)
		w.keep()
		w.want(w.ask(ref)[0], "scanned 1/0:vulnerability")
	})
}

// TestChanges: who asks for changes waits for them, pages through many, and is told to forget everything when rows were dropped or
// the database is another.
func TestChanges(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.name(till1, hex64(1))
		v := w.ask(till1)[0]
		got := make(chan *protocol.Changes, 1)
		go func() {
			c, err := w.s.Changes(t.Context(), w.target, v.Serial)
			if err != nil {
				t.Error(err)
			}
			got <- c
		}()
		w.image(hex64(1), "")
		w.pass(3 * time.Second)
		w.keep()
		if c := <-got; c == nil || len(c.Verdicts) != 1 || c.Reset {
			t.Errorf("%+v", c)
		}
		w.s.o.Wait = 10 * time.Millisecond
		c, err := w.s.Changes(t.Context(), w.target, w.changes(0).Serial)
		if err != nil || len(c.Verdicts) != 0 || c.Reset {
			t.Errorf("%+v, %v", c, err)
		}
		if c, err := w.s.Changes(t.Context(), w.target, 1000); err != nil || !c.Reset || c.Serial >= 1000 {
			t.Errorf("%+v, %v", c, err)
		}
		other := w.changes(0)
		if c, err := w.s.changes(t.Context(), w.target+1, 0); err != nil || len(c.Verdicts) != 0 {
			t.Errorf("changes of another cluster: %+v, %v", c, err)
		}
		var refs []string
		for i := range maxChanges {
			refs = append(refs, fmt.Sprintf("registry.example.com/app@%s", hex64(i+10)))
		}
		w.ask(refs...)
		first := w.changes(other.Serial - 1)
		second := w.changes(first.Serial)
		if len(first.Verdicts) != maxChanges || len(second.Verdicts) != 1 {
			t.Errorf("%d and %d", len(first.Verdicts), len(second.Verdicts))
		}
		w.s.o.Most = 900
		w.pass(2 * time.Hour)
		w.s.trimmed = time.Time{}
		w.keep()
		var n int
		if err := db.R.NewRaw("SELECT count(*) FROM verdicts").Scan(t.Context(), &n); err != nil || n != 900 {
			t.Error(n, err)
		}
		if c := w.changes(second.Serial); !c.Reset {
			t.Error("rows were dropped, and nobody is told")
		}
	})
}

// TestGone: what a cluster asked is dropped with it.
func TestGone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.ask("registry.example.com/a@" + hex64(1))
		w.target += 100
		w.pass(time.Minute)
		w.keep()
		var n int
		if err := db.R.NewRaw("SELECT (SELECT count(*) FROM verdicts) + (SELECT count(*) FROM verdict_clusters)").Scan(t.Context(), &n); err != nil || n != 0 {
			t.Error(n, err)
		}
	})
}

// TestPreview: a preview says what other policies would, of what is known; nobody is asked and nothing is kept.
func TestPreview(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.name(till1, hex64(1))
		w.image(hex64(1), hex64(2), vulnerableTo("CVE-2026-0001", finding.High))
		w.ask(till1)
		before := w.asked[till1]
		w.exec("INSERT INTO assets (target_id, kind, name, digest, first_seen, listed) VALUES (?, ?, 'nginx:1.27', ?, 1, ?)", w.target, ledger.AssetImage, hex64(1), true)
		b, _ := w.Bundle(t.Context(), w.target)
		b.Policies = []policy.Policy{{ID: 9, Name: "x", Action: policy.Warn, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities}}}}
		images := w.s.For(w.target, b)
		for ref, want := range map[string]string{till1: "scanned 9/0:vulnerability", "nginx:1.27": "scanned 9/0:vulnerability", "x@" + hex64(2): "scanned 9/0:vulnerability",
			"registry.example.com/nobody:1": "unknown", "not a name": "failed"} {
			v, err := images.Verdict(t.Context(), ref, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			w.want(*v, want)
			if a := Action(b, v, clock); ref == till1 && a != policy.Warn || ref == "registry.example.com/nobody:1" && a != policy.Audit {
				t.Errorf("%s: %s", ref, a)
			}
		}
		if w.asked[till1] != before || len(w.tasks) > 0 {
			t.Error("a preview asked somebody")
		}
		bundle, list, err := w.s.Look(t.Context(), w.target, []string{till1, "nginx:1.27"})
		if err != nil || len(list) != 2 || bundle.Target != w.target || kindsOf(list[0]) != "scanned" {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// TestActions: what a verdict comes to, by check, roll-out, scope and want of an answer.
func TestActions(t *testing.T) {
	p := policy.Policy{ID: 1, Action: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities}, {Check: policy.Tag, Action: policy.Warn}}}
	failed := func(checks ...int) *policy.ImageVerdict {
		v := &policy.ImageVerdict{Reference: till1, State: policy.Known}
		for _, c := range checks {
			v.Failed = append(v.Failed, policy.Failure{Policy: 1, Check: c})
		}
		return v
	}
	for name, c := range map[string]struct {
		change func(p *policy.Policy)
		v      *policy.ImageVerdict
		want   policy.Action
	}{
		"good":            {nil, failed(), policy.Off},
		"block":           {nil, failed(0, 1), policy.Block},
		"its own":         {nil, failed(1), policy.Warn},
		"roll-out":        {func(p *policy.Policy) { p.Rollout.Block = clock.Add(time.Hour) }, failed(0), policy.Warn},
		"disabled":        {func(p *policy.Policy) { p.Disabled = true }, failed(0), policy.Off},
		"other images":    {func(p *policy.Policy) { p.Scope.Images = []string{"docker.io/*"} }, failed(0), policy.Off},
		"excluded":        {func(p *policy.Policy) { p.Scope.ExcludedImages = []string{"registry.example.com/*"} }, failed(0), policy.Off},
		"not known":       {nil, &policy.ImageVerdict{Reference: till1, State: policy.Unknown}, policy.Audit},
		"not known block": {func(p *policy.Policy) { p.Unanswered = policy.Block }, &policy.ImageVerdict{Reference: till1, State: policy.Scanning}, policy.Block},
		"allowed":         {func(p *policy.Policy) { p.Unanswered = policy.Block }, &policy.ImageVerdict{Reference: till1, State: policy.Scanning, Allowed: []int64{1}}, policy.Off},
		"open":            {func(p *policy.Policy) { p.Unanswered = policy.Block }, &policy.ImageVerdict{Reference: till1, State: policy.Known, Open: []policy.OpenCheck{{Policy: 1}}}, policy.Block},
		"nothing to ask":  {func(p *policy.Policy) { p.Checks = p.Checks[1:]; p.Unanswered = policy.Block }, &policy.ImageVerdict{Reference: till1, State: policy.Unknown}, policy.Off},
	} {
		x := p
		x.Checks = append([]policy.ImageCheck{}, p.Checks...)
		if c.change != nil {
			c.change(&x)
		}
		if got := Action(&policy.Bundle{Policies: []policy.Policy{x}}, c.v, clock); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestIdle: images that run nowhere are listed with what is wrong with them; those that run are not.
func TestIdle(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.image(hex64(1), "", vulnerableTo("CVE-2026-0001", finding.Critical), vulnerableTo("CVE-2026-0002", finding.Low))
		w.pass(time.Minute)
		w.image(hex64(2), hex64(22))
		w.pass(time.Minute)
		w.image(hex64(3), "")
		w.exec("INSERT INTO assets (target_id, kind, name, digest, first_seen, listed) VALUES (?, ?, 'nginx', ?, 1, ?)", w.target, ledger.AssetImage, hex64(22), true)
		first, next, err := w.s.Idle(t.Context(), store.Page{Limit: 1})
		if err != nil || len(first) != 1 || first[0].Digest != hex64(3) || next == "" || !first[0].Matched {
			t.Fatalf("%+v %q %v", first, next, err)
		}
		second, next, err := w.s.Idle(t.Context(), store.Page{Limit: 1, After: next})
		if err != nil || len(second) != 1 || second[0].Digest != hex64(1) || next != "" || second[0].Counts["critical"] != 1 || second[0].Worst != finding.Critical {
			t.Errorf("%+v %q %v", second, next, err)
		}
		if f, err := w.s.Facts(t.Context(), hex64(22)); err != nil || f.Digest != hex64(2) {
			t.Error(f, err)
		}
		if _, err := w.s.Facts(t.Context(), hex64(99)); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}
