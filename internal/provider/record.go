package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/credential"
	"stockade.dev/stockade/internal/exhibit"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/repair"
)

// Bounds of what is recorded.
const (
	mostReview     = 8 << 20   // bytes of a request: two objects of 3 MiB at most, and room
	mostObject     = 256 << 10 // bytes of an object that is kept
	mostQueue      = 2_000
	mostQueued     = 16 << 20 // bytes
	mostViolations = 200
	mostGroups     = 50
	recorders      = 4
)

// selfTest marks dry runs that the server sends to see whether protection works.
const selfTest = "stockade.dev/self-test"

// recorder takes what the API server is asked to let in, says yes at once, and judges and keeps it afterwards. Nobody decides by what
// it takes: the API server shows no certificate, so anybody who reaches the port could write into the log. Who does is bounded: in
// bytes, in number, and by the NetworkPolicy before the port.
type recorder struct {
	p     *Provider
	queue chan review
	bytes atomic.Int64
	done  sync.WaitGroup
	mu    sync.RWMutex // closed is not set while somebody puts into the queue
	over  bool
}

// review is a request that waits.
type review struct {
	text []byte
	at   time.Time
}

// admissionReview is what counts of an AdmissionReview, of both versions.
type admissionReview struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Request    *struct {
		UID         string          `json:"uid"`
		Kind        groupKind       `json:"kind"`
		SubResource string          `json:"subResource"`
		Name        string          `json:"name"`
		Namespace   string          `json:"namespace"`
		Operation   string          `json:"operation"`
		UserInfo    userInfo        `json:"userInfo"`
		Object      json.RawMessage `json:"object"`
		OldObject   json.RawMessage `json:"oldObject"`
		DryRun      *bool           `json:"dryRun"`
	} `json:"request"`
}

type groupKind struct {
	Group   string `json:"group"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
}

type userInfo struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

func newRecorder(p *Provider) *recorder {
	return &recorder{p: p, queue: make(chan review, mostQueue)}
}

var (
	reviewUID     = regexp.MustCompile(`"uid"\s*:\s*"([0-9A-Za-z-]{1,64})"`)
	onlyUID       = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)
	reviewVersion = regexp.MustCompile(`"apiVersion"\s*:\s*"(admission\.k8s\.io/v1(?:beta1)?)"`)
)

const reviewHead = 2 << 10

// serve answers: allowed, whatever it is.
func (c *recorder) serve(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	failed := false
	defer func() {
		if v := recover(); v != nil {
			c.p.o.Log.Error("recording", "panic", fmt.Sprint(v))
			c.p.metrics.panics.Inc()
			failed = true
		}
		c.p.recorded.add(time.Since(began), failed)
		c.p.metrics.requests.WithLabelValues("record", map[bool]string{true: "error", false: "200"}[failed]).Observe(time.Since(began).Seconds())
	}()
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostReview))
	version, uid := reviewOf(text)
	if uid == "" {
		failed = true
		c.p.metrics.malformed.Inc()
		why := "no AdmissionReview with a request.uid"
		if err != nil {
			why = err.Error()
		}
		http.Error(w, clean(why, 200), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"apiVersion":%q,"kind":"AdmissionReview","response":{"uid":%q,"allowed":true}}`, version, uid) // the API server went on without
	if err != nil || !c.put(review{text, c.p.o.Now()}) {
		failed = true
		c.p.spool.Lose(1)
	}
}

// reviewOf finds what an answer needs: in what the API server writes it stands at the beginning.
func reviewOf(text []byte) (version, uid string) {
	head := text[:min(len(text), reviewHead)]
	version = "admission.k8s.io/v1"
	if m := reviewVersion.FindSubmatch(head); m != nil {
		version = string(m[1])
	}
	i := strings.Index(string(head), `"request"`)
	if i < 0 {
		i = 0
	}
	if m := reviewUID.FindSubmatch(head[i:]); m != nil {
		return version, string(m[1])
	}
	// A client that orders its keys otherwise.
	var r admissionReview
	if json.Unmarshal(text, &r) != nil || r.Request == nil || !onlyUID.MatchString(r.Request.UID) {
		return version, ""
	}
	return version, r.Request.UID
}

// put queues a review; false is that there is no room.
func (c *recorder) put(r review) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n := int64(len(r.text))
	if c.over || c.bytes.Add(n) > mostQueued {
		c.bytes.Add(-n)
		return false
	}
	select {
	case c.queue <- r:
		return true
	default:
		c.bytes.Add(-n)
		return false
	}
}

// run judges and keeps what is queued, until close.
func (c *recorder) run() {
	for range recorders {
		c.done.Go(func() {
			d := decode.NewDecoder()
			for r := range c.queue {
				c.keep(d, r)
				c.bytes.Add(-int64(len(r.text)))
			}
		})
	}
}

// close waits until everything that was queued is kept.
func (c *recorder) close() {
	c.mu.Lock()
	c.over = true
	close(c.queue)
	c.mu.Unlock()
	c.done.Wait()
}

func (c *recorder) keep(d *decode.Decoder, r review) {
	defer func() {
		if v := recover(); v != nil {
			c.p.o.Log.Error("recording", "panic", fmt.Sprint(v))
			c.p.metrics.panics.Inc()
			c.p.spool.Lose(1)
		}
	}()
	var in admissionReview
	if err := json.Unmarshal(r.text, &in); err != nil || in.Request == nil {
		c.p.metrics.malformed.Inc()
		c.p.spool.Lose(1)
		return
	}
	q := in.Request
	if q.Operation != "CREATE" && q.Operation != "UPDATE" {
		return // nothing comes in
	}
	content, err := d.Object(q.Object)
	if err != nil {
		c.p.metrics.malformed.Inc()
		c.p.spool.Lose(1)
		return
	}
	o := objectOf(content, q.Kind, q.Namespace, q.Name)
	a := protocol.Admission{At: r.at.UTC(), UID: clean(o.UID, 100), APIVersion: clean(o.APIVersion, 300), Kind: clean(o.Kind, 100), Namespace: clean(o.Namespace, 300), Name: clean(o.Name, 300),
		Operation: q.Operation, SubResource: clean(q.SubResource, 100), User: clean(q.UserInfo.Username, 500), DryRun: q.DryRun != nil && *q.DryRun, Outcome: "unjudged", Bytes: 0}
	a.Generation, _ = inventory.Int(content, "metadata", "generation")
	for _, g := range q.UserInfo.Groups[:min(len(q.UserInfo.Groups), mostGroups)] {
		a.Groups = append(a.Groups, clean(g, 300))
	}
	owner := policy.Owner(o)
	a.OwnerKind, a.OwnerName = clean(owner.Kind, 100), clean(owner.Name, 300)
	a.SelfTest = a.DryRun && o.Annotations()[selfTest] != "" // a mark alone would hide requests from people
	var old *inventory.Object
	if before, err := d.Object(q.OldObject); err == nil {
		old = objectOf(before, q.Kind, q.Namespace, q.Name)
	}
	c.judge(&a, &policy.Request{Operation: q.Operation, SubResource: q.SubResource, User: q.UserInfo.Username, Groups: q.UserInfo.Groups, Object: o, Old: old, At: r.at})
	c.attach(&a, o, len(q.Object))
	c.p.spool.Add(&a)
	c.p.metrics.outcomes.WithLabelValues(a.Outcome).Inc()
}

// objectOf wraps an object of a request. What it leaves out itself the request says.
func objectOf(content map[string]any, kind groupKind, namespace, name string) *inventory.Object {
	o, _ := inventory.NewObject(content)
	if o.APIVersion == "" {
		o.APIVersion = strings.TrimPrefix(kind.Group+"/"+kind.Version, "/")
	}
	if o.Kind == "" {
		o.Kind = kind.Kind
	}
	if o.Namespace == "" && o.Kind != "Namespace" {
		o.Namespace = namespace
	}
	if name != "" {
		o.Name = name
	}
	return o
}

// judge says what the policies say.
func (c *recorder) judge(a *protocol.Admission, r *policy.Request) {
	f := c.p.force.Load()
	if f == nil {
		return
	}
	r.NamespaceLabels = namespaceLabels(f.bundle, r.Object)
	a.Generated = f.bundle.Generation
	defer func() {
		if v := recover(); v != nil { // the request is kept and judged by the server
			c.p.o.Log.Error("judging", "panic", fmt.Sprint(v), "kind", a.Kind, "namespace", a.Namespace, "name", a.Name)
			c.p.metrics.panics.Inc()
			a.Outcome, a.Violations, a.Undecided = "unjudged", nil, nil
		}
	}()
	// As much time as Gatekeeper's question had: what it could not be told is not recorded as if it had been.
	ctx, cancel := context.WithTimeout(context.Background(), c.p.o.Deadline)
	defer cancel()
	out := f.judge.Judge(ctx, r)
	switch out.Action() {
	case policy.Block:
		a.Outcome = "blocked"
	case policy.Warn:
		a.Outcome = "warned"
	case policy.Audit:
		a.Outcome = "audited"
	default:
		a.Outcome = "allowed"
	}
	a.Violations = out.Violations[:min(len(out.Violations), mostViolations)]
	for i := range a.Violations {
		a.Violations[i].Found = concealed(a.Violations[i].Found)
	}
	a.Undecided = out.Undecided[:min(len(out.Undecided), mostViolations)]
	for i := range a.Undecided {
		a.Undecided[i].Reason = clean(a.Undecided[i].Reason, 500)
	}
}

// namespaceLabels are those that the bundle has. Every namespace has its name as a label.
func namespaceLabels(b *policy.Bundle, o *inventory.Object) map[string]string {
	if o.Namespace == "" {
		return nil
	}
	if l, ok := b.Namespaces[o.Namespace]; ok {
		return l
	}
	return map[string]string{"kubernetes.io/metadata.name": o.Namespace}
}

// concealed takes credentials out of a value that a rule found.
func concealed(v any) any {
	switch v := v.(type) {
	case string:
		if _, found := credential.Find("", v); found {
			return repair.Redacted
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = concealed(v[i])
		}
		return out
	case map[string]any:
		o := &inventory.Object{Content: v}
		exhibit.ConcealObject(o)
		return o.Content
	}
	return v
}

// podVolume is the volume of a pod's service account token, whose name ends in five random characters.
const podVolume = "kube-api-access-"

// attach adds the object: without credentials, without what differs from pod to pod of one workload, so that a batch has it once.
func (c *recorder) attach(a *protocol.Admission, o *inventory.Object, size int) {
	if size > mostObject {
		a.Bytes = size
		return
	}
	exhibit.ConcealObject(o)
	normalize(o.Content)
	text, err := json.Marshal(o.Content) // keys in order
	if err != nil || len(text) > mostObject {
		a.Bytes = size
		return
	}
	sum := sha256.Sum256(text)
	a.Object, a.ObjectHash = text, hex.EncodeToString(sum[:16])
}

// normalize drops what the log has beside the object, or the server made.
func normalize(content map[string]any) {
	meta := inventory.Map(content, "metadata")
	for _, k := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "selfLink"} {
		delete(meta, k)
	}
	if inventory.Str(meta, "generateName") != "" {
		delete(meta, "name")
	}
	delete(content, "status")
	if inventory.Str(content, "kind") != "Pod" {
		return
	}
	spec := inventory.Map(content, "spec")
	if i := len(podVolume) + 5; spec != nil {
		short := func(m map[string]any) {
			if n := inventory.Str(m, "name"); len(n) == i && strings.HasPrefix(n, podVolume) {
				m["name"] = strings.TrimSuffix(podVolume, "-")
			}
		}
		for _, v := range inventory.List(spec, "volumes") {
			if m, ok := v.(map[string]any); ok {
				short(m)
			}
		}
		for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
			for _, v := range inventory.List(spec, list) {
				m, _ := v.(map[string]any)
				for _, mount := range inventory.List(m, "volumeMounts") {
					if m, ok := mount.(map[string]any); ok {
						short(m)
					}
				}
			}
		}
	}
}
