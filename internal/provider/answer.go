package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/policy"
)

// Bounds of a question of Gatekeeper's.
const (
	mostQuestion = 8 << 20 // bytes
	mostKeys     = 10_000
	mostKey      = 8 << 10 // bytes of a key; the name of an image has 1,000 at most
	reserve      = 50 * time.Millisecond
)

// Errors of keys, as the template sees them.
var (
	errBundle = errors.New("the provider has not got its policies yet")
	errPolicy = errors.New("the provider does not know this policy yet")
)

const (
	dataVersion  = "externaldata.gatekeeper.sh/v1beta1"
	dataRequest  = "ProviderRequest"
	dataResponse = "ProviderResponse"
)

// providerRequest is a ProviderRequest of Gatekeeper's external data. The tests hold it, and what encode writes, to Gatekeeper's own types.
type providerRequest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Request    struct {
		Keys []string `json:"keys"`
	} `json:"request"`
}

// validate answers whether images may be used.
func (p *Provider) validate(w http.ResponseWriter, r *http.Request) {
	p.serve(w, r, "validate", p.answer)
}

// mutate answers tags with digests.
func (p *Provider) mutate(w http.ResponseWriter, r *http.Request) { p.serve(w, r, "mutate", p.pin) }

// item is the answer to a key.
type item struct {
	key   string
	value []byte // JSON
	err   string
	late  bool // no verdict was to be had
}

// serve reads a question of Gatekeeper's and answers it. Nothing that is in it can do more than make an error of it.
func (p *Provider) serve(w http.ResponseWriter, r *http.Request, door string, answer func(context.Context, []string) []item) {
	began := time.Now()
	status, bad := http.StatusOK, false
	defer func() {
		if v := recover(); v != nil { // a bug of ours: Gatekeeper has its own way with errors
			p.o.Log.Error("answering Gatekeeper", "door", door, "panic", fmt.Sprint(v))
			p.metrics.panics.Inc()
			status, bad = http.StatusInternalServerError, true
			p.refuse(w, status, "the provider failed; its log says more")
		}
		p.answered.add(time.Since(began), bad)
		p.metrics.requests.WithLabelValues(door, fmt.Sprint(status)).Observe(time.Since(began).Seconds())
	}()
	if err := p.certs.known(r); err != nil {
		status, bad = http.StatusForbidden, true
		p.refuse(w, status, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), p.o.Deadline-reserve)
	defer cancel()
	keys, err := readQuestion(http.MaxBytesReader(w, r.Body, mostQuestion))
	if err != nil {
		status, bad = http.StatusBadRequest, true
		p.refuse(w, status, err.Error())
		return
	}
	items := answer(ctx, keys)
	for i := range items {
		bad = bad || items[i].late || items[i].err != ""
	}
	p.metrics.keys.WithLabelValues(door).Add(float64(len(items)))
	w.Header().Set("Content-Type", "application/json")
	out := buffers.Get().(*[]byte)
	*out = encode((*out)[:0], items)
	_, _ = w.Write(*out) // Gatekeeper has hung up, then
	giveBack(out)
}

// buffers are those of questions and answers: new ones for each would be most of what the garbage collector has to do.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// giveBack keeps a buffer for the next, unless it is one of the rare big ones.
func giveBack(b *[]byte) {
	if cap(*b) <= 256<<10 {
		buffers.Put(b)
	}
}

// refuse answers with an error in Gatekeeper's form.
func (p *Provider) refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body := appendString([]byte(`{"apiVersion":"`+dataVersion+`","kind":"`+dataResponse+`","response":{"idempotent":true,"systemError":`), clean(why, 500))
	_, _ = w.Write(append(body, "}}"...)) // Gatekeeper has hung up, then
}

func readQuestion(body io.Reader) ([]string, error) {
	text := buffers.Get().(*[]byte)
	defer giveBack(text)
	b := bytes.NewBuffer((*text)[:0])
	_, err := b.ReadFrom(body)
	*text = b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	var q providerRequest
	if err := json.Unmarshal(*text, &q); err != nil { // which copies the keys
		return nil, fmt.Errorf("the request is no ProviderRequest: %w", err)
	}
	switch {
	case q.Kind != dataRequest:
		return nil, fmt.Errorf("kind %q: want %s", clean(q.Kind, 50), dataRequest)
	case !strings.HasPrefix(q.APIVersion, "externaldata.gatekeeper.sh/"):
		return nil, fmt.Errorf("apiVersion %q: want %s", clean(q.APIVersion, 50), dataVersion)
	case len(q.Request.Keys) > mostKeys:
		return nil, fmt.Errorf("%d keys: at most %d are answered", len(q.Request.Keys), mostKeys)
	}
	return q.Request.Keys, nil
}

// encode appends the answer. It is written by hand because it is most of the work of an answer from memory.
func encode(out []byte, items []item) []byte {
	n := 200
	for i := range items {
		n += len(items[i].key) + len(items[i].value) + len(items[i].err) + 40
	}
	out = slices.Grow(out, n)
	out = append(out, `{"apiVersion":"`+dataVersion+`","kind":"`+dataResponse+`","response":{"idempotent":true,"items":[`...)
	for i := range items {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"key":`...)
		out = appendString(out, items[i].key)
		if items[i].err != "" {
			out = append(out, `,"error":`...)
			out = appendString(out, items[i].err)
		} else {
			out = append(out, `,"value":`...)
			out = append(out, items[i].value...)
		}
		out = append(out, '}')
	}
	return append(out, "]}}"...)
}

// appendString writes a text as JSON.
func appendString(out []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			text, err := json.Marshal(s)
			if err != nil { // a text: it does not happen
				text = []byte(`""`)
			}
			return append(out, text...)
		}
	}
	out = append(out, '"')
	out = append(out, s...)
	return append(out, '"')
}

// noMessages is the answer that most images get.
var noMessages = []byte(`{"messages":[]}`)

// answer answers keys, each by itself. Images that nobody knows are asked for all at once first, each once.
func (p *Provider) answer(ctx context.Context, keys []string) []item {
	out := make([]item, len(keys))
	mark, f := p.memo.epoch.Load(), p.force.Load()
	var parsed []policy.ImageKey // of those that are not answered as lately
	looks := looks{force: f}
	for i, key := range keys {
		out[i].key = key
		if f == nil {
			out[i].err, out[i].late = errBundle.Error(), true
			continue
		}
		if value, ok := p.memo.get(f, key); ok {
			out[i].value = value
			continue
		}
		k, err := readKey(f, key)
		if err != nil {
			out[i].err = err.Error()
			continue
		}
		if parsed == nil {
			parsed = make([]policy.ImageKey, len(keys))
			looks.known = make(map[string]*look, len(keys)-i)
		}
		parsed[i] = k
		if f.asks[k.Policy] {
			p.lookFor(&looks, &k)
		}
	}
	if parsed == nil {
		return out
	}
	p.ask.kick()
	ctx = context.WithValue(ctx, looksKey{}, &looks)
	for i := range out {
		if out[i].err != "" || out[i].value != nil {
			continue
		}
		p.answerOne(ctx, f, mark, &parsed[i], &out[i])
	}
	return out
}

func readKey(f *force, key string) (policy.ImageKey, error) {
	if len(key) > mostKey {
		return policy.ImageKey{}, fmt.Errorf("%w: it has %d bytes", policy.ErrKey, len(key))
	}
	k, err := policy.ParseImageKey(key)
	if err == nil && !f.policies[k.Policy] {
		err = errPolicy
	}
	return k, err
}

// answerOne decides on one key. A key that makes the judge fail is its own misfortune.
func (p *Provider) answerOne(ctx context.Context, f *force, mark int64, k *policy.ImageKey, out *item) {
	defer func() {
		if v := recover(); v != nil {
			p.o.Log.Error("answering for an image", "panic", fmt.Sprint(v), "policy", k.Policy, "image", clean(k.Image, 200))
			p.metrics.panics.Inc()
			out.err = "the provider failed on this image; its log says more"
		}
	}()
	if strings.TrimSpace(k.Image) == "" { // a template whose image somebody else fills in
		out.value = noMessages
		return
	}
	now := p.o.Now()
	violations, doubts := f.judge.Image(ctx, *k, now)
	if len(violations) == 0 && len(doubts) == 0 {
		if before, ok := f.before(k.Policy, now); ok { // the constraint with the action of before may still be there
			violations, doubts = f.judge.Image(ctx, *k, before)
		}
	}
	if len(violations) == 0 && len(doubts) == 0 {
		out.value = noMessages
		p.memo.put(f, mark, out.key, out.value)
		return
	}
	messages := make([]string, 0, len(violations)+1)
	var unless [][][]int64
	for i := range violations {
		messages = append(messages, f.bundle.ImageRefusal(&violations[i]))
		if len(violations[i].Unless) > 0 {
			if unless == nil {
				unless = make([][][]int64, len(violations))
			}
			unless[i] = violations[i].Unless
		}
	}
	for i := range doubts {
		out.late = true
		p.metrics.unanswered.Inc()
		if doubts[i].Action == k.Action {
			messages = append(messages, f.bundle.NoVerdict(f.names[k.Policy], &doubts[i]))
		}
	}
	value, err := json.Marshal(policy.KeyAnswer{Messages: messages, Unless: unless})
	if err != nil { // texts: it does not happen
		out.err = err.Error()
		return
	}
	out.value = value
	if !out.late {
		p.memo.put(f, mark, out.key, out.value)
	}
}

// looks are the images of one question, looked up together before the judge asks for each.
type looks struct {
	force *force
	known map[string]*look // by lookName
}

type looksKey struct{}

func lookName(reference, namespace string, secrets []string) string {
	if namespace == "" && len(secrets) == 0 {
		return reference
	}
	return reference + "\x00" + namespace + "\x00" + strings.Join(secrets, ",")
}

func (p *Provider) lookFor(all *looks, k *policy.ImageKey) {
	name := lookName(k.Image, k.Namespace, k.PullSecrets)
	if all.known[name] != nil {
		return
	}
	ref, err := policy.ParseReference(k.Image)
	if err != nil { // the judge says so
		return
	}
	l := p.look(all.force, ref, k.Namespace, k.PullSecrets)
	all.known[name] = &l
}

// pin answers names of images with a digest in place of a tag. What has no digest that is known stays as it is: a policy says whether it
// may be used.
func (p *Provider) pin(ctx context.Context, keys []string) []item {
	out := make([]item, len(keys))
	all := make([]*look, len(keys))
	f := p.force.Load()
	for i, key := range keys {
		out[i].key = key
		ref, err := policy.ParseReference(key)
		if f == nil || err != nil || ref.Digest != "" {
			continue
		}
		l := p.look(f, ref, "", nil)
		all[i] = &l
	}
	p.ask.kick()
	for i, l := range all {
		name := keys[i]
		if l != nil {
			v, err := p.wait(ctx, f, l)
			if err == nil && v.Digest != "" && strings.HasPrefix(v.Digest, "sha256:") {
				name += "@" + v.Digest
			} else {
				out[i].late = true
			}
			if _, err := policy.ParseReference(name); err != nil {
				name = keys[i]
			}
		}
		out[i].value = appendString(nil, name)
	}
	return out
}
