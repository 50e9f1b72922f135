package verdict

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/signature"
)

// lens is a bundle as verdicts see it: made once for each, and used for many images.
type lens struct {
	bundle   *policy.Bundle
	hash     string // of all that verdicts depend on: a bundle that differs in other things makes the same verdicts
	accepted *Accepted
	policies []*policy.Policy          // that look at images
	keys     map[string]*signature.Key // by PEM; nil: it cannot be read
	list     []*signature.Key          // each once
}

func newLens(b *policy.Bundle) (*lens, error) {
	l := &lens{bundle: b, keys: map[string]*signature.Key{}}
	var err error
	if l.accepted, err = Accept(b.Exceptions); err != nil {
		return nil, fmt.Errorf("the exceptions of cluster %d: %w", b.Target, err)
	}
	type part struct {
		ID               int64
		Checks           []policy.ImageCheck
		Allowed          []policy.AllowedImage
		Images, Excluded []string
	}
	sum := struct {
		Form       int // of verdicts: those of another are made anew
		Cluster    string
		Target     int64
		Parts      []part
		Exceptions []exception.Exception
	}{Form: 2, Cluster: b.Cluster, Target: b.Target, Exceptions: b.Exceptions}
	for i := range b.Policies {
		p := &b.Policies[i]
		if p.Disabled || len(p.Checks) == 0 {
			continue
		}
		l.policies = append(l.policies, p)
		sum.Parts = append(sum.Parts, part{ID: p.ID, Checks: p.Checks, Allowed: p.Allowed, Images: p.Scope.Images, Excluded: p.Scope.ExcludedImages})
		for _, k := range Keys(p) {
			if _, ok := l.keys[k.PEM]; ok {
				continue
			}
			key, err := signature.ParseKey(k.Name, k.PEM)
			if err != nil {
				l.keys[k.PEM] = nil
				continue
			}
			l.keys[k.PEM] = key
			if !slices.ContainsFunc(l.list, func(o *signature.Key) bool { return o.ID == key.ID }) {
				l.list = append(l.list, key)
			}
		}
	}
	data, err := json.Marshal(sum)
	if err != nil {
		return nil, err
	}
	h := sha256.Sum256(data)
	l.hash = hex.EncodeToString(h[:16])
	return l, nil
}

// covers reports whether the policy looks at images of this name.
func covers(p *policy.Policy, r policy.Reference) bool {
	if r.Repository == "" { // a file: nobody says where it will be
		return true
	}
	match := func(pattern string) bool { return policy.MatchImage(pattern, r) }
	return (len(p.Scope.Images) == 0 || slices.ContainsFunc(p.Scope.Images, match)) && !slices.ContainsFunc(p.Scope.ExcludedImages, match)
}

// judge fills in what the policies say of an image, and returns when that must be asked again; zero is when something changes.
func (l *lens) judge(v *policy.ImageVerdict, img *Image, now time.Time) (due time.Time) {
	soonest := func(t time.Time) {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	v.Failed, v.Open, v.Allowed = nil, nil, nil
	less := *img
	if img.Facts != nil {
		var ends time.Time
		less.Facts, ends = l.accepted.Without(img.Facts, Place{Target: l.bundle.Target, Cluster: l.bundle.Cluster, Reference: img.Reference, Digest: img.Facts.Digest}, now)
		soonest(ends)
	}
	for _, p := range l.policies {
		if !covers(p, img.Reference) {
			continue
		}
		j := Judge(p.Checks, p.Allowed, &less, now)
		soonest(Until(p.Checks, p.Allowed, &less, now))
		if j.Allowed {
			v.Allowed = append(v.Allowed, p.ID)
			continue
		}
		for _, f := range j.Failed {
			f.Policy = p.ID
			v.Failed = append(v.Failed, f)
		}
		for _, o := range j.Open {
			o.Policy = p.ID
			v.Open = append(v.Open, o)
		}
	}
	return due
}

// ActionOf is what a policy does about a check that fails, at a time.
func ActionOf(p *policy.Policy, check int, now time.Time) policy.Action {
	a := p.Action
	if check >= 0 && check < len(p.Checks) && p.Checks[check].Action != policy.Off {
		a = p.Checks[check].Action
	}
	return p.Rollout.At(a, now)
}

// Unanswered is what a policy does about an image without an answer, at a time.
func Unanswered(p *policy.Policy, now time.Time) policy.Action {
	if p.Unanswered == policy.Off {
		return policy.Audit
	}
	return p.Rollout.At(p.Unanswered, now)
}

// Action is the sharpest that the policies of a bundle do about an image, whoever runs it: what admission decides beside, such as
// the scope by namespaces, is left out.
func Action(b *policy.Bundle, v *policy.ImageVerdict, now time.Time) policy.Action {
	out := policy.Off
	sharper := func(a policy.Action) {
		if a.Rank() > out.Rank() {
			out = a
		}
	}
	ref, err := policy.ParseReference(v.Reference)
	for i := range b.Policies {
		p := &b.Policies[i]
		if p.Disabled || len(p.Checks) == 0 || slices.Contains(v.Allowed, p.ID) || err == nil && !covers(p, ref) {
			continue
		}
		for _, f := range v.Failed {
			if f.Policy == p.ID {
				sharper(ActionOf(p, f.Check, now))
			}
		}
		unknown := slices.ContainsFunc(v.Open, func(o policy.OpenCheck) bool { return o.Policy == p.ID })
		if v.State != policy.Known {
			unknown = unknown || slices.ContainsFunc(p.Checks, func(c policy.ImageCheck) bool { return needsFacts(c.Check) })
		}
		if unknown {
			sharper(Unanswered(p, now))
		}
	}
	return out
}

// needsFacts reports whether a check says nothing of an image that was not scanned.
func needsFacts(c policy.Check) bool {
	switch c {
	case policy.Vulnerabilities, policy.Malware, policy.Baseline, policy.Secrets:
		return true
	}
	return false
}

// Of judges one image by a bundle, by facts that somebody else gathered: for the command line. What is not of a registry, such as a
// file, leaves the checks open that are about registries.
func Of(b *policy.Bundle, reference string, remote bool, f *Facts, signed map[string]Signed, now time.Time) policy.ImageVerdict {
	v := policy.ImageVerdict{Reference: clip(reference, 1000), State: policy.Known, Scanned: f.Scanned, Matched: f.Matched, Digest: cmp.Or(f.Index, f.Digest)}
	img := &Image{Facts: f, Signatures: signed}
	if ref, err := policy.ParseReference(reference); err == nil && remote {
		img.Reference, v.Reference = ref, ref.String()
		v.Digest = cmp.Or(ref.Digest, v.Digest)
	}
	img.Digest = v.Digest
	return alone(b, v, img, now)
}

// Unread judges an image that could not be read.
func Unread(b *policy.Bundle, reference string, remote bool, why error, now time.Time) policy.ImageVerdict {
	v := policy.ImageVerdict{Reference: clip(reference, 1000), State: policy.Unread, Reason: clip(because(why), maxText)}
	img := &Image{}
	if ref, err := policy.ParseReference(reference); err == nil && remote {
		img.Reference, v.Reference, v.Digest, img.Digest = ref, ref.String(), ref.Digest, ref.Digest
	}
	return alone(b, v, img, now)
}

func alone(b *policy.Bundle, v policy.ImageVerdict, img *Image, now time.Time) policy.ImageVerdict {
	l, err := newLens(b)
	if err != nil {
		v.State, v.Reason = policy.Unread, err.Error()
		return v
	}
	l.judge(&v, img, now)
	return v
}
