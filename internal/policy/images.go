package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Use is an image that an object names.
type Use struct {
	Image     string // as it stands there
	Container string // "" for image volumes
	Type      string // of the container: inventory.TypeContainer, ...; "volume"
	Path      string // of the name, in the object
}

// TypeVolume is the type of images that are mounted and not run.
const TypeVolume = "volume"

// ImagesOf lists the images of an object: of every container, init, sidecar and ephemeral ones too, and of image volumes. Names that are
// left empty for somebody to fill in are left out: the pod will have one.
func ImagesOf(o *inventory.Object) []Use {
	var out []Use
	for _, c := range o.Containers() {
		if image := inventory.Str(c.Content, "image"); image != "" {
			out = append(out, Use{image, c.Name, c.Type, inventory.JoinKey(c.Path, "image")})
		}
	}
	pod, path := o.PodTemplate()
	for i, v := range inventory.List(pod, "spec", "volumes") {
		m, _ := v.(map[string]any)
		if image := inventory.Str(m, "image", "reference"); image != "" {
			at := inventory.JoinIndex(inventory.JoinKey(inventory.JoinKey(path, "spec"), "volumes"), i)
			out = append(out, Use{image, "", TypeVolume, at + ".image.reference"})
		}
	}
	return out
}

// PullSecrets are the names of the pull secrets of an object's pods.
func PullSecrets(o *inventory.Object) []string {
	pod, _ := o.PodTemplate()
	var out []string
	for _, v := range inventory.List(pod, "spec", "imagePullSecrets") {
		m, _ := v.(map[string]any)
		if n := inventory.Str(m, "name"); n != "" {
			out = append(out, n)
		}
	}
	return out
}

// Of reports whether the check can be decided by the image's name alone, without anybody being asked.
func (c Check) Of() bool { return c == Registry || c == Tag }

// Rule is the check as violations name it.
func (c Check) Rule() string { return "image/" + string(c) }

// OfReference decides the checks of a policy that look at the name of an image only. Who answers for images need not repeat them.
func OfReference(p *Policy, image string) []Failure {
	var out []Failure
	for i := range p.Checks {
		c := &p.Checks[i]
		if !c.Check.Of() {
			continue
		}
		r, err := ParseReference(image)
		switch {
		case err != nil:
			out = append(out, Failure{Policy: p.ID, Check: i, Kind: c.Check, Count: 1,
				Message: finding.Text{EN: fmt.Sprintf("%q is no name of an image", short(image)), ZH: fmt.Sprintf("%q 不是有效的镜像名称", short(image))}})
		case c.Check == Tag && r.Digest == "":
			out = append(out, Failure{Policy: p.ID, Check: i, Kind: Tag, Count: 1, Items: []string{r.String()},
				Message: finding.Text{EN: "named by the tag " + r.Tag + ", needed: a digest (@sha256:...)", ZH: "使用标签 " + r.Tag + " 引用，应使用摘要（@sha256:...）"}})
		case c.Check == Registry && !slices.ContainsFunc(c.Allow, func(a string) bool { return MatchRepository(a, r) }):
			want := short(strings.Join(c.Allow, ", "))
			out = append(out, Failure{Policy: p.ID, Check: i, Kind: Registry, Count: 1, Items: []string{r.Name()},
				Message: finding.Text{EN: "from " + r.Name() + ", allowed: " + want, ZH: "来自 " + r.Name() + "，允许的来源：" + want}})
		}
	}
	return out
}

// short cuts what came from outside for a message.
func short(s string) string {
	const most = 120
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// Allows reports whether an entry of a policy's list lets an image in, by what is known without a signature: digest is that of the
// image behind the reference, "" when nobody knows. Entries with keys are never decided here: ImageVerdict.Allowed says.
func (a *AllowedImage) Allows(r Reference, digest string, at time.Time) bool {
	if len(a.Keys) > 0 || !a.Expires.IsZero() && !at.Before(a.Expires) {
		return false
	}
	if a.Repository != "" && !MatchRepository(a.Repository, r) {
		return false
	}
	is := func(want string) bool { return want != "" && (want == r.Digest || want == digest) }
	if a.Digest != "" {
		return is(a.Digest)
	}
	return a.Tag != "" && a.Repository != "" && (r.Tag == a.Tag || r.Digest != "") && is(a.Resolved)
}

// imageResult is what one policy says of one image.
type imageResult struct {
	failures  []Failure
	undecided string // why it came to no verdict
	digest    string
}

// image judges one image by the checks of a policy.
func (c *compiled) image(v *ImageVerdict, err error, image string, at time.Time) imageResult {
	p := c.policy
	var out imageResult
	r, refErr := ParseReference(image)
	if v != nil {
		out.digest = v.Digest
		if slices.Contains(v.Allowed, p.ID) {
			return out
		}
	}
	if out.digest == "" && refErr == nil {
		out.digest = r.Digest
	}
	if refErr == nil && slices.ContainsFunc(p.Allowed, func(a AllowedImage) bool { return a.Allows(r, out.digest, at) }) {
		return out
	}
	out.failures = OfReference(p, image)
	if !c.asks {
		return out
	}
	if refErr != nil {
		if len(out.failures) == 0 { // nobody can know such an image, and no kubelet starts it
			out.undecided = refErr.Error()
		}
		return out
	}
	if v != nil && slices.Contains(v.Unsaid, p.ID) {
		out.undecided = "the policy is newer than what is known of the image, and the server could not be asked"
		return out
	}
	if err != nil || v == nil {
		out.undecided = "nobody could be asked about the image"
		if err != nil {
			out.undecided += ": " + err.Error()
		}
		return out
	}
	out.said(c, v, at)
	slices.SortStableFunc(out.failures, func(a, b Failure) int { return a.Check - b.Check })
	return out
}

// said adds what is known of the image. Age is judged anew: the verdict may have been kept for long.
func (out *imageResult) said(c *compiled, v *ImageVerdict, at time.Time) {
	p := c.policy
	failed := map[int]*Failure{}
	for i := range v.Failed {
		if f := &v.Failed[i]; f.Policy == p.ID && f.Check >= 0 && f.Check < len(p.Checks) && p.Checks[f.Check].Check == f.Kind {
			failed[f.Check] = f
		}
	}
	for i := range p.Checks {
		k := &p.Checks[i]
		switch {
		case k.Check.Of():
		case k.Check == Unscanned:
			if f := k.unscanned(v, failed[i], at); f != nil {
				f.Policy, f.Check, f.Kind = p.ID, i, Unscanned
				out.failures = append(out.failures, *f)
			}
		case failed[i] != nil:
			out.failures = append(out.failures, *failed[i])
		case k.Check != Signature && v.State != Known:
			out.open(v.lack())
		default:
			for _, o := range v.Open {
				if o.Policy == p.ID && o.Check == i {
					out.open(o.Reason)
				}
			}
		}
	}
}

// open notes why a check came to no verdict; the first reason stands for all.
func (out *imageResult) open(reason string) {
	if out.undecided == "" {
		out.undecided = reason
	}
}

// lack says why there are no facts.
func (v *ImageVerdict) lack() string {
	switch {
	case v.State == Unread:
		return begin("the image could not be scanned", v.Reason)
	case v.State == Scanning:
		return "the image is being scanned"
	}
	return begin("the image was not scanned", v.Reason)
}

// unscanned is what the check of the scan result's age has against an image; nil is nothing. said is what it had when the verdict was
// made.
func (c *ImageCheck) unscanned(v *ImageVerdict, said *Failure, at time.Time) *Failure {
	switch {
	case v.State != Known && said != nil:
		f := *said
		return &f
	case v.State != Known:
		return &Failure{Count: 1, Message: finding.Text{EN: "there is no scan result", ZH: "没有扫描结果"}}
	case c.MaxAge > 0 && at.Sub(v.Scanned) > time.Duration(c.MaxAge)*24*time.Hour:
		day := v.Scanned.UTC().Format(time.DateOnly)
		return &Failure{Count: 1, Message: finding.Text{EN: fmt.Sprintf("the scan result is of %s, allowed: %d days", day, c.MaxAge),
			ZH: fmt.Sprintf("扫描结果日期为 %s，最多允许 %d 天", day, c.MaxAge)}}
	}
	return nil
}

// Memo answers for images out of memory what was asked before: for previews, which ask for one image thousands of times. It is safe
// for use by several goroutines.
func Memo(images Images) Images {
	if images == nil {
		return nil
	}
	return &memo{from: images, known: map[string]*remembered{}}
}

type memo struct {
	from  Images
	mu    sync.Mutex
	known map[string]*remembered
}

type remembered struct {
	once    sync.Once
	verdict *ImageVerdict
	err     error
}

// maxMemo bounds what is kept: a hostile cluster has any number of images.
const maxMemo = 200_000

// Verdict implements Images.
func (m *memo) Verdict(ctx context.Context, reference, namespace string, pullSecrets []string) (*ImageVerdict, error) {
	key := strings.Join(append([]string{reference, namespace}, pullSecrets...), "\x00")
	m.mu.Lock()
	r := m.known[key]
	if r == nil {
		if len(m.known) >= maxMemo {
			m.mu.Unlock()
			return m.from.Verdict(ctx, reference, namespace, pullSecrets)
		}
		r = &remembered{}
		m.known[key] = r
	}
	m.mu.Unlock()
	r.once.Do(func() { r.verdict, r.err = m.from.Verdict(ctx, reference, namespace, pullSecrets) })
	return r.verdict, r.err
}
