package verdict

import (
	"cmp"
	"slices"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
)

// Image is an image as it is judged: what it is called, what it is, what is known of it.
type Image struct {
	Reference policy.Reference
	Digest    string // that the reference stands for, of a manifest or an index; "" is not known
	Facts     *Facts // nil: there is no result
	// Signatures say which keys have signed it, by their PEM. A key that is missing was not asked about.
	Signatures map[string]Signed
}

// Signed is whether a key has signed an image.
type Signed struct {
	Good    bool
	Unknown bool   // nobody could be asked; Reason says why
	Reason  string // of what is not good
}

// Judgement is what the checks of one policy say of an image. Policy is not filled in.
type Judgement struct {
	Allowed bool // it is let in without a look
	Failed  []policy.Failure
	Open    []policy.OpenCheck
}

// Judge holds an image to the checks of a policy. Checks on what was found say nothing of an image without facts: what then happens
// is the policy's to say (Unanswered).
func Judge(checks []policy.ImageCheck, allowed []policy.AllowedImage, img *Image, now time.Time) Judgement {
	var out Judgement
	for i := range allowed {
		if img.allowed(&allowed[i], now) {
			return Judgement{Allowed: true}
		}
	}
	for i := range checks {
		c := &checks[i]
		f, open := img.check(c, now)
		if open != "" {
			out.Open = append(out.Open, policy.OpenCheck{Check: i, Reason: open})
		} else if f != nil {
			f.Check, f.Kind = i, c.Check
			out.Failed = append(out.Failed, *f)
		}
	}
	return out
}

// check judges by one check: nil is good, open is why it cannot be said.
func (img *Image) check(c *policy.ImageCheck, now time.Time) (f *policy.Failure, open string) {
	switch c.Check {
	case policy.Registry, policy.Tag:
		if img.Reference.Repository == "" {
			return nil, "it was not named as an image of a registry"
		}
		list := policy.OfReference(&policy.Policy{Checks: []policy.ImageCheck{*c}}, img.Reference.String())
		if len(list) == 0 {
			return nil, ""
		}
		f := list[0]
		if f.Fix.EN == "" {
			f.Fix = named(c, img)
		}
		return &f, ""
	case policy.Unscanned:
		switch {
		case img.Facts == nil:
			return neverScanned(), ""
		case c.MaxAge > 0 && now.Sub(img.Facts.Scanned) > days(c.MaxAge):
			return scannedLongAgo(img.Facts.Scanned, c.MaxAge), ""
		}
		return nil, ""
	case policy.Signature:
		if img.Reference.Repository == "" {
			return nil, "it was not named as an image of a registry"
		}
		return img.signature(c.Keys)
	}
	if img.Facts == nil {
		return nil, ""
	}
	switch c.Check {
	case policy.Vulnerabilities:
		found := img.Facts.violating(c, now)
		if len(found) == 0 {
			return nil, img.Facts.NoAdvisories
		}
		return vulnerable(c, found), ""
	case policy.Malware:
		return hits(c, img.Facts.hits(func(h *Hit) bool { return h.Kind == finding.Malware })), ""
	case policy.Secrets:
		return hits(c, img.Facts.hits(func(h *Hit) bool { return h.Kind == finding.Secret && reaches(h.Severity, c.Severity) })), ""
	case policy.Baseline:
		return hits(c, img.Facts.hits(func(h *Hit) bool { return h.Kind != finding.Malware && h.Kind != finding.Secret && wanted(c, h) })), ""
	}
	return nil, "" // a check of a newer version: who made the policy was told
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// reaches reports whether a severity is at or above the one that is asked for, high when none is.
func reaches(have, want finding.Severity) bool {
	return have.Rank() >= cmp.Or(want, finding.High).Rank()
}

// violating are the vulnerabilities that a check does not let pass, the worst first.
func (f *Facts) violating(c *policy.ImageCheck, now time.Time) []*Vulnerability {
	listed := make(map[string]bool, len(c.CVEs))
	for _, id := range c.CVEs {
		listed[id] = true
	}
	// A check that has nothing but a list is about the list.
	only := len(c.CVEs) > 0 && c.Severity == "" && !c.Fixable && !c.Exploited && c.EPSS == 0 && c.OlderThan == 0
	var out []*Vulnerability
	for i := range f.Vulnerabilities {
		v := &f.Vulnerabilities[i]
		named := len(listed) > 0 && (listed[v.ID] || slices.ContainsFunc(v.Aliases, func(a string) bool { return listed[a] }))
		if named || !only && v.meets(c, now) {
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b *Vulnerability) int {
		return cmp.Or(b.Severity.Rank()-a.Severity.Rank(), first(b.KEV)-first(a.KEV), cmp.Compare(b.EPSS, a.EPSS), first(b.Fixed != "")-first(a.Fixed != ""),
			cmp.Compare(a.ID, b.ID), cmp.Compare(a.Package, b.Package))
	})
	return out
}

func first(b bool) int {
	if b {
		return 1
	}
	return 0
}

// meets reports whether everything that the check asks of one vulnerability holds. One whose date nobody says counts as old.
func (v *Vulnerability) meets(c *policy.ImageCheck, now time.Time) bool {
	return reaches(v.Severity, c.Severity) && (!c.Fixable || v.Fixed != "") && (!c.Exploited || v.KEV) && v.EPSS >= c.EPSS &&
		(c.OlderThan == 0 || now.Sub(v.Published) > days(c.OlderThan))
}

// hits are those that a check does not let pass, the worst first.
func (f *Facts) hits(bad func(*Hit) bool) []*Hit {
	var out []*Hit
	for i := range f.Hits {
		if h := &f.Hits[i]; bad(h) {
			out = append(out, h)
		}
	}
	slices.SortStableFunc(out, func(a, b *Hit) int {
		return cmp.Or(b.Severity.Rank()-a.Severity.Rank(), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.File, b.File), a.Line-b.Line)
	})
	return out
}

// wanted reports whether a check on the baseline is about a hit: rules that it names count whatever their severity, unless it names
// one too.
func wanted(c *policy.ImageCheck, h *Hit) bool {
	if len(c.Rules) == 0 {
		return reaches(h.Severity, c.Severity)
	}
	return (slices.Contains(c.Rules, h.Rule) || slices.Contains(c.Rules, h.RuleID)) && (c.Severity == "" || reaches(h.Severity, c.Severity))
}

// signature judges whether one of the keys has signed the image.
func (img *Image) signature(keys []policy.Key) (f *policy.Failure, open string) {
	why := ""
	for _, k := range keys {
		s, asked := img.Signatures[k.PEM]
		switch {
		case s.Good:
			return nil, ""
		case !asked && open == "":
			open = "its signatures were not looked at"
		case s.Unknown && open == "":
			open = cmp.Or(s.Reason, "its signatures could not be read")
		case why == "":
			why = s.Reason
		}
	}
	if open != "" {
		return nil, open
	}
	return unsigned(keys, why), ""
}

// allowed reports whether an entry of the whitelist lets the image in. A digest says which image it is; a tag what it named when it
// was added; a key who says so.
func (img *Image) allowed(a *policy.AllowedImage, now time.Time) bool {
	if !a.Expires.IsZero() && !now.Before(a.Expires) {
		return false
	}
	if a.Repository != "" && !policy.MatchRepository(a.Repository, img.Reference) {
		return false
	}
	switch {
	case a.Digest != "":
		return img.is(a.Digest)
	case a.Tag != "":
		return a.Repository != "" && a.Resolved != "" && img.Reference.Tag == a.Tag && img.is(a.Resolved)
	}
	return slices.ContainsFunc(a.Keys, func(k policy.Key) bool { return img.Signatures[k.PEM].Good })
}

// is reports whether a digest is the image's, or that of an index which it is in. One image of an index says nothing of the others.
func (img *Image) is(digest string) bool {
	have := cmp.Or(img.Reference.Digest, img.Digest)
	return digest != "" && (digest == have || img.Facts != nil && img.Facts.Digest == have && img.Facts.Index == digest)
}

// Until is the first moment after now at which time alone changes what Judge says; zero is never.
func Until(checks []policy.ImageCheck, allowed []policy.AllowedImage, img *Image, now time.Time) time.Time {
	var at time.Time
	add := func(t time.Time) {
		if !t.IsZero() && t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for i := range allowed {
		add(allowed[i].Expires)
	}
	if img.Facts == nil {
		return at
	}
	for i := range checks {
		switch c := &checks[i]; {
		case c.Check == policy.Unscanned && c.MaxAge > 0:
			add(img.Facts.Scanned.Add(days(c.MaxAge) + time.Millisecond))
		case c.Check == policy.Vulnerabilities && c.OlderThan > 0:
			for j := range img.Facts.Vulnerabilities {
				if v := &img.Facts.Vulnerabilities[j]; !v.Published.IsZero() {
					add(v.Published.Add(days(c.OlderThan) + time.Millisecond))
				}
			}
		}
	}
	return at
}

// Keys lists the keys that the checks and the whitelist of a policy ask about.
func Keys(p *policy.Policy) []policy.Key {
	var out []policy.Key
	for i := range p.Checks {
		if p.Checks[i].Check == policy.Signature {
			out = append(out, p.Checks[i].Keys...)
		}
	}
	for i := range p.Allowed {
		out = append(out, p.Allowed[i].Keys...)
	}
	return out
}
