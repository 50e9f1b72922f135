package provider

import (
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

func quietTestLog() *stdlog.Logger { return stdlog.New(io.Discard, "", 0) }

func TestAnswers(t *testing.T) {
	w := newWorld(t)
	w.start()
	if i := w.ask(key(1, policy.Block, "a"))[0]; i.err == "" {
		t.Errorf("without policies: %s", i.value)
	}
	w.pull()
	w.knows(w.good("docker.io/library/good:1"), w.bad("docker.io/library/bad:1"))
	items := w.ask(key(1, policy.Block, "good:1"), key(1, policy.Block, "bad:1"), key(1, policy.Warn, "bad:1"), key(99, policy.Block, "bad:1"), "no key", key(3, policy.Warn, "bad:1"),
		key(3, policy.Warn, "registry.example.com/a@"+digestOf("x")), key(1, policy.Block, ""))
	for i, want := range []int{0, 1, 0, -1, -1, 2, 0, 0} {
		if want < 0 {
			if items[i].err == "" {
				t.Errorf("%s: want an error: %s", items[i].key, items[i].value)
			}
			continue
		}
		if m := messages(t, items[i]); len(m) != want {
			t.Errorf("%s: %d messages, want %d: %q", items[i].key, len(m), want, m)
		}
	}
	m := messages(t, items[1])[0]
	for _, want := range []string{"[image/vulnerability]", "bad:1", "2 vulnerabilities of severity high", "CVE-2021-44228", `Policy "no vulnerable images"`, "https://stockade.example.com/protection/why?policy=1"} {
		if !strings.Contains(m, want) {
			t.Errorf("%q lacks %q", m, want)
		}
	}
	if n := utf8.RuneCountInString(m); n > 320 {
		t.Errorf("%d characters: %s", n, m)
	}
	if items[0].value == nil || string(items[0].value) != `{"messages":[]}` {
		t.Errorf("%s", items[0].value)
	}
}

func TestAnswersInChinese(t *testing.T) {
	w := newWorld(t)
	w.server.bundle.Lang = "zh"
	w.start()
	w.pull()
	w.knows(w.bad("docker.io/library/bad:1"))
	items := w.ask(key(1, policy.Block, "bad:1"), key(5, policy.Block, "new:1"))
	if m := messages(t, items[0]); len(m) != 1 || !strings.Contains(m[0], "高危及以上漏洞") {
		t.Errorf("%q", m)
	}
	if m := messages(t, items[1]); len(m) != 1 || !strings.Contains(m[0], "尚无判定结果") {
		t.Errorf("%q", m)
	}
}

// TestOneDigestFiftyContainersAskedOnce also holds for two requests at the same time.
func TestOneDigestFiftyContainersAskedOnce(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	name := "registry.example.com/shop/till@" + digestOf("till")
	w.knows(w.good(name))
	w.server.delay = make(chan struct{})
	keys := make([]string, 50)
	for i := range keys {
		keys[i] = key(1, policy.Block, name)
	}
	done := make(chan []item, 2)
	for range 2 {
		go func() { done <- w.p.answer(t.Context(), keys) }()
	}
	eventually(t, "the question", func() bool { calls, _ := w.server.questions(); return calls == 1 })
	close(w.server.delay)
	for range 2 {
		for _, i := range <-done {
			if m := messages(t, i); len(m) > 0 {
				t.Errorf("%q", m)
			}
		}
	}
	if calls, images := w.server.questions(); calls != 1 || images != 1 {
		t.Errorf("%d questions about %d images", calls, images)
	}
}

func TestThousandImagesInOneRequest(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	keys := make([]string, 1000)
	for i := range keys {
		name := fmt.Sprintf("registry.example.com/shop/a%d:1", i)
		keys[i] = key(1, policy.Block, name)
		if i%2 == 0 {
			w.knows(w.bad(name))
		} else {
			w.knows(w.good(name))
		}
	}
	items := w.question("/validate", keys).Response.Items
	if len(items) != 1000 {
		t.Fatalf("%d answers", len(items))
	}
	for i, item := range items {
		n := len(item.Value.(map[string]any)["messages"].([]any))
		if item.Key != keys[i] || n != 1-i%2 {
			t.Errorf("%s: %d messages", item.Key, n)
		}
	}
	if calls, images := w.server.questions(); images != 1000 || calls > 4 {
		t.Errorf("%d questions about %d images", calls, images)
	}
	// Nobody knows these, and the server does not answer: bounded all the same.
	w.server.delay = make(chan struct{})
	defer close(w.server.delay)
	w.p.o.Deadline = 200 * time.Millisecond
	for i := range keys {
		keys[i] = key(2, policy.Block, fmt.Sprintf("registry.example.com/slow/a%d:1", i))
	}
	for _, item := range w.question("/validate", keys).Response.Items {
		if n := len(item.Value.(map[string]any)["messages"].([]any)); n != 1 {
			t.Errorf("%s: %d messages", item.Key, n)
		}
	}
	if code, out := w.post("/validate", question(mostKeys+1), true); code != http.StatusBadRequest || out.Response.SystemError == "" {
		t.Errorf("too many keys: %d %+v", code, out)
	}
}

func question(n int) []byte {
	return []byte(`{"apiVersion":"externaldata.gatekeeper.sh/v1beta1","kind":"ProviderRequest","request":{"keys":[` + strings.TrimSuffix(strings.Repeat(`"x",`, n), ",") + `]}}`)
}

// TestHostileImageNames: each gets an answer of its own, none harms another, and spellings of one image are one image.
func TestHostileImageNames(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	digest := digestOf("docker.io/library/bad:1")
	w.knows(w.bad("docker.io/library/bad:1"), w.bad("docker.io/library/bad:latest"), w.bad("docker.io/library/bad@"+digest), w.bad("docker.io/library/bad:other@"+digest), w.good("docker.io/library/good:1"))
	same := []string{"bad:1", "docker.io/bad:1", "docker.io/library/bad:1", "index.docker.io/library/bad:1", "DOCKER.io/library/bad:1", "bad", "bad:latest", "bad@" + digest, "bad:other@" + digest}
	keys := []string{key(1, policy.Block, "good:1")}
	for _, s := range same {
		keys = append(keys, key(1, policy.Block, s))
	}
	hostile := []string{"Bad:1", "BAD", "bad:1 ", " bad:1", "bad:1\x00", "bad:1\n", "../../bad:1", "registry.example.com/../../bad:1", "registry.example.com//bad:1", "бад:1", "bаd:1", "xn--80ab.example.com/bad:1/",
		"bad@sha256:", "bad:1@" + digest + "@" + digest, "bad|x:1", "https://registry.example.com/bad:1", strings.Repeat("a", 5000), "\u202edab", "{{image}}", "bad:1?x=y", "bad:1#", "bad%2f1", "\xff\xfe"}
	for _, s := range hostile {
		keys = append(keys, key(2, policy.Block, s))
	}
	items := w.ask(keys...)
	if m := messages(t, items[0]); len(m) > 0 {
		t.Errorf("the good image: %q", m)
	}
	for i, s := range same {
		if m := messages(t, items[1+i]); len(m) != 1 || !strings.HasPrefix(m[0], "[image/vulnerability]") {
			t.Errorf("%s: %q", s, m)
		}
	}
	for i, s := range hostile {
		it := items[1+len(same)+i]
		if it.err != "" {
			continue
		}
		m := messages(t, it)
		if len(m) != 1 { // policy 2 refuses what has no answer
			t.Errorf("%q: %q", s, m)
			continue
		}
		if strings.ContainsAny(m[0], "\n\x00\u202e") || !utf8.ValidString(m[0]) || utf8.RuneCountInString(m[0]) > 400 {
			t.Errorf("%q: %q", s, m[0])
		}
	}
	// What a runtime can start is read, or it would pass as a name that nobody knows.
	for _, s := range []string{"V1/app", "Registry/app:1", "evil_host.example.com/bad:1", "a", "registry.example.com/a", "[2001:DB8::1]:5000/a", "a@sha384:" + strings.Repeat("0", 96), "a:" + strings.Repeat("x", 128)} {
		if _, err := policy.ParseReference(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	for _, q := range w.server.asked {
		for _, i := range q {
			if _, err := policy.ParseReference(i.Reference); err != nil {
				t.Errorf("the server was asked about %q", i.Reference)
			}
		}
	}
}

// TestUnknownImageFollowsPolicy: policy 1 lets in and records, policy 5 refuses.
func TestUnknownImageFollowsPolicy(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	items := w.ask(key(1, policy.Block, "new:1"), key(5, policy.Block, "new:1"), key(5, policy.Warn, "new:1"))
	if m := messages(t, items[0]); len(m) != 0 || !items[0].late {
		t.Errorf("audit: %q %v", m, items[0].late)
	}
	if m := messages(t, items[1]); len(m) != 1 || !strings.Contains(m[0], "No verdict") || !strings.Contains(m[0], "answered images only") || !strings.Contains(m[0], "being scanned") {
		t.Errorf("block: %q", m)
	}
	if m := messages(t, items[2]); len(m) != 0 {
		t.Errorf("another action: %q", m)
	}
	// The scan is done: the server tells.
	w.p.takeChanges(&protocol.Changes{Verdicts: []policy.ImageVerdict{w.good("docker.io/library/new:1")}, Serial: 101}, w.p.epoch())
	if m := messages(t, w.ask(key(5, policy.Block, "new:1"))[0]); len(m) != 0 {
		t.Errorf("after the scan: %q", m)
	}
	// And a week and a day later the result is too old.
	w.away(true)
	w.clock.add(8 * 24 * time.Hour)
	if m := messages(t, w.ask(key(2, policy.Block, "new:1"))[0]); len(m) != 1 || !strings.Contains(m[0], "image/unscanned") {
		t.Errorf("after a week: %q", m)
	}
}

// TestTagsAreResolvedAnew after a minute, behind an answer by what was known.
func TestTagsAreResolvedAnew(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	w.knows(w.good("docker.io/library/app:1"))
	ask := func() int { return len(messages(t, w.ask(key(1, policy.Block, "app:1"))[0])) }
	if ask() != 0 {
		t.Fatal("the image is good")
	}
	w.knows(w.bad("docker.io/library/app:1")) // another image under the tag, and no news of it
	w.clock.add(30 * time.Second)
	if ask() != 0 {
		t.Error("the verdict is fresh")
	}
	if calls, _ := w.server.questions(); calls != 1 {
		t.Errorf("%d questions", calls)
	}
	w.clock.add(31 * time.Second)
	ask() // by what was known; the question is on its way
	eventually(t, "the tag to be asked for", func() bool { return ask() == 1 })
	// Digests do not move.
	name := "docker.io/library/app@" + digestOf("y")
	w.knows(w.good(name))
	w.ask(key(1, policy.Block, name))
	before, _ := w.server.questions()
	w.clock.add(30 * time.Minute)
	w.ask(key(1, policy.Block, name))
	if after, _ := w.server.questions(); after != before {
		t.Error("a digest was asked for anew")
	}
}

// TestPolicyNewerThanVerdict: what was said before a policy says nothing of it.
func TestPolicyNewerThanVerdict(t *testing.T) {
	w := newWorld(t)
	w.server.bundle.Policies = w.server.bundle.Policies[:1]
	w.start()
	w.pull()
	w.knows(w.good("docker.io/library/app:1"))
	w.ask(key(1, policy.Block, "app:1"))
	b := testBundle()
	b.Generation = "g2"
	b.Policies = append(b.Policies[:1], policy.Policy{ID: 4, Version: 1, Name: "no malware", Action: policy.Block, Unanswered: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Malware}}})
	w.server.tell(func() { w.server.bundle = b })
	w.pull()
	w.away(true)
	if m := messages(t, w.ask(key(4, policy.Block, "app:1"))[0]); len(m) != 1 {
		t.Errorf("the server was not asked since policy 4: %q", m)
	}
	if m := messages(t, w.ask(key(1, policy.Block, "app:1"))[0]); len(m) != 0 {
		t.Errorf("of policy 1 the verdict holds: %q", m)
	}
	w.away(false)
	w.clock.add(time.Minute)
	if m := messages(t, w.ask(key(4, policy.Block, "app:1"))[0]); len(m) != 0 {
		t.Errorf("the server is back: %q", m)
	}
}

// TestRolloutTurnsOver: between a date and the new constraint the old one's question is still answered.
func TestRolloutTurnsOver(t *testing.T) {
	w := newWorld(t)
	w.server.bundle.Policies[0].Rollout = policy.Rollout{Block: w.clock.Now().Add(time.Hour)}
	w.start()
	w.pull()
	w.knows(w.bad("docker.io/library/bad:1"))
	count := func(a policy.Action) int { return len(messages(t, w.ask(key(1, a, "bad:1"))[0])) }
	if count(policy.Warn) != 1 || count(policy.Block) != 0 {
		t.Error("before the date it warns")
	}
	w.clock.add(time.Hour + time.Minute)
	if count(policy.Warn) != 1 || count(policy.Block) != 1 {
		t.Error("at the date both constraints are answered")
	}
	w.clock.add(time.Hour)
	if count(policy.Warn) != 0 || count(policy.Block) != 1 {
		t.Error("after the date it blocks")
	}
}

func TestScopeByImages(t *testing.T) {
	w := newWorld(t)
	w.server.bundle.Policies[0].Scope.ExcludedImages = []string{"docker.io/library/bad:*"}
	w.start()
	w.pull()
	w.knows(w.bad("docker.io/library/bad:1"), w.bad("docker.io/library/worse:1"))
	items := w.ask(key(1, policy.Block, "bad:1"), key(1, policy.Block, "worse:1"))
	if len(messages(t, items[0])) != 0 || len(messages(t, items[1])) != 1 {
		t.Errorf("%s %s", items[0].value, items[1].value)
	}
}

// TestNoMemoryIsPoisoned: who may not read an image takes nothing away from those who may.
func TestNoMemoryIsPoisoned(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	name := "registry.example.com/private/app:1"
	w.knows(w.bad(name))
	k := policy.ImageKey{Generation: "g1", Policy: 1, Action: policy.Block, Namespace: "shop", PullSecrets: []string{"pull"}, Image: name}
	if len(messages(t, w.ask(k.String())[0])) != 1 {
		t.Fatal("the image is bad")
	}
	v := policy.ImageVerdict{Reference: name, State: policy.Unread, Reason: "not let in"}
	w.knows(v)
	w.clock.add(2 * time.Minute)
	k.Namespace, k.PullSecrets = "elsewhere", nil
	w.ask(k.String())
	eventually(t, "the second question", func() bool { _, n := w.server.questions(); return n == 2 && w.p.ask.waiting() == 0 })
	if len(messages(t, w.ask(k.String())[0])) != 1 {
		t.Error("the verdict is gone")
	}
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	if q := w.server.asked[1][0]; q.Namespace != "shop" || !slices.Equal(q.PullSecrets, []string{"pull"}) {
		t.Errorf("asked as %+v", q)
	}
}

func TestMutate(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	w.knows(w.good("docker.io/library/app:1"), w.good("registry.example.com/a:2"))
	digest := digestOf("z")
	keys := []string{"app:1", "registry.example.com/a:2", "new:1", "app@" + digest, "Not An Image", ""}
	want := []string{"app:1@" + digestOf("docker.io/library/app:1"), "registry.example.com/a:2@" + digestOf("registry.example.com/a:2"), "new:1", "app@" + digest, "Not An Image", ""}
	out := w.question("/mutate", keys)
	if !out.Response.Idempotent {
		t.Error("Gatekeeper takes idempotent answers only")
	}
	for i, item := range out.Response.Items {
		if item.Value != want[i] || item.Key != keys[i] {
			t.Errorf("%s: %v, want %s", keys[i], item.Value, want[i])
		}
	}
	// What was mutated is then judged by the digest: known already.
	if i := w.ask(key(1, policy.Block, want[0]))[0]; len(messages(t, i)) != 0 || i.late {
		t.Errorf("%s", i.value)
	}
}

func TestOneBadKeyHarmsNoOther(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	f := *w.p.force.Load()
	f.judge = panicking{f.judge}
	w.p.force.Store(&f)
	w.knows(w.good("docker.io/library/good:1"))
	items := w.ask(key(1, policy.Block, "good:1"), key(1, policy.Block, "panic:1"), key(1, policy.Block, "good:1"))
	if items[1].err == "" || len(messages(t, items[0])) != 0 || len(messages(t, items[2])) != 0 {
		t.Errorf("%+v", items)
	}
}
