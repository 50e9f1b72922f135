package constraint

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
)

// grant is an exception that can be decided at admission.
type grant struct {
	exception.Exception
	param   map[string]any // without the rules
	byOwner bool           // it names a kind or an object
}

// maxGrants bounds the exceptions of one constraint: they are looked through for every object, and an object of the API has 1.5 MB.
const maxGrants = 2000

// readExceptions sorts out what admission can decide of exceptions.
func (c *compiler) readExceptions() {
	for _, e := range c.bundle.Exceptions {
		if !e.Expires.IsZero() && !c.o.Now.Before(e.Expires) || e.Target != 0 && e.Target != c.bundle.Target || !matches(e.Cluster, c.bundle.Cluster) {
			continue
		}
		if pardons(&e) {
			c.pardon(&e)
		}
		if e.Fingerprint != "" && !c.place(&e) {
			continue
		}
		if e.Rule == "" || e.CVE != "" || e.Package != "" || e.PURL != "" || e.Version != "" || e.Digest != "" || e.UntilFix {
			continue // of vulnerabilities and images: those who answer for images know them
		}
		if !matches(e.File, "") || !matches(e.Node, "") {
			continue // of files and nodes
		}
		g := grant{Exception: e, param: map[string]any{}, byOwner: e.Kind != "" || e.Name != ""}
		ok := where(g.param, &e)
		if e.Image != "" && e.Image != "*" {
			var image string
			if image, ok = expression(e.Image, true); ok {
				g.param["image"] = image
			}
		}
		if !ok {
			c.without(&e, malformed)
			continue
		}
		if e.Labels != "" {
			list, ok := requirements(e.Labels)
			if !ok {
				c.without(&e, numeric)
				continue
			}
			if len(list) > 0 {
				g.param["labels"] = list
			}
		}
		c.grants = append(c.grants, g)
	}
}

// where puts whom an exception names.
func where(m map[string]any, e *exception.Exception) bool {
	return putName(m, "namespace", e.Namespace) && putName(m, "kind", e.Kind) && putName(m, "name", e.Name) && putName(m, "container", e.Container)
}

// pardons reports whether an exception may accept findings on images for those who run them: whoever answers for images says which, and
// the constraint asks whether it is they.
func pardons(e *exception.Exception) bool {
	if e.ID == 0 || e.Fingerprint != "" || !e.Placed() {
		return false
	}
	return e.Rule == "" || !strings.Contains(e.Rule, "/") || strings.HasPrefix(e.Rule, "*") || strings.HasPrefix(e.Rule, "image")
}

func (c *compiler) pardon(e *exception.Exception) {
	g := grant{Exception: *e, param: map[string]any{"id": e.ID, "checks": []any{}}, byOwner: e.Kind != "" || e.Name != ""}
	list, ok := requirements(e.Labels)
	if !ok {
		c.without(e, numeric)
		return
	}
	if !where(g.param, e) {
		c.without(e, malformed)
		return
	}
	if len(list) > 0 {
		g.param["labels"] = list
	}
	c.pardons = append(c.pardons, g)
}

func (c *compiler) without(e *exception.Exception, reason string) {
	c.set.Notes = append(c.set.Notes, Note{Exception: e.ID, What: "exception", Reason: reason + "; it does not let anything pass at admission"})
}

const (
	malformed = "a pattern of it is malformed"
	numeric   = "its label selector compares numbers, which is not decided at admission"
)

// place turns an exception for one finding into one for what the finding is about. A fingerprint is a digest of names, which no
// admission engine can make.
func (c *compiler) place(e *exception.Exception) bool {
	if e.Rule != "" && c.lib.Find(e.Rule) == nil && plain(e.Rule) {
		return false // of a vulnerability
	}
	var p Place
	ok := false
	if c.o.Fingerprint != nil {
		p, ok = c.o.Fingerprint(e.Fingerprint)
	}
	r := c.lib.Find(p.Rule)
	switch {
	case !ok:
		c.without(e, "it is of one finding, and which one is not known here")
		return false
	case r == nil || !export.Enforceable(r):
		return false
	case p.Item != "":
		c.without(e, "it is of one element of a list ("+oneLine(p.Item, 60)+"), and admission decides about whole rules")
		return false
	case e.Rule != "" && !matches(e.Rule, r.Name) && !matches(e.Rule, r.ID) || !matches(e.Namespace, p.Namespace) || !matches(e.Kind, p.Kind) ||
		!matches(e.Name, p.Name) || !matches(e.Container, p.Container):
		return false // what else it names does not hold for the finding
	}
	e.Fingerprint, e.Rule = "", r.ID
	e.Namespace, e.Kind, e.Name, e.Container = quoteGlob(p.Namespace), quoteGlob(p.Kind), quoteGlob(p.Name), quoteGlob(p.Container)
	return true
}

// quoteGlob is the pattern of one name.
func quoteGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// matches reports whether a pattern of an exception matches; "" matches anything.
func matches(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	r, ok := compiled(pattern)
	return ok && r.MatchString(s)
}

// putName sets a field to a name or, with Like after its name, to a regular expression.
func putName(m map[string]any, field, pattern string) bool {
	switch {
	case pattern == "" || pattern == "*":
		return true // names have no slashes
	case plain(pattern):
		m[field] = pattern
		return true
	}
	r, ok := expression(pattern, false)
	m[field+"Like"] = r
	return ok
}

// accepting are the exceptions for rules in a policy, as parameters of a constraint.
func (c *compiler) accepting(p *policy.Policy, rules []*rule.Rule) []any {
	var out []any
	left := 0
	for i := range c.grants {
		g := &c.grants[i]
		var ids []string
		for _, r := range rules {
			if matches(g.Rule, r.Name) || matches(g.Rule, r.ID) {
				ids = append(ids, r.ID)
			}
		}
		if len(ids) == 0 {
			continue
		}
		if len(out) == maxGrants {
			left++
			continue
		}
		slices.Sort(ids)
		m := map[string]any{"rules": texts(ids)}
		for k, v := range g.param {
			m[k] = v
		}
		if g.ID != 0 {
			m["id"] = g.ID
		}
		out = append(out, m)
		c.until(g.Expires)
		if g.byOwner && !chained(p) {
			c.set.Notes = append(c.set.Notes, Note{Policy: p.ID, Exception: g.ID, What: "exception",
				Reason: unchained})
		}
	}
	if left > 0 {
		c.note(p, "exceptions", "%d of them are left out: a constraint takes %d", left, maxGrants)
	}
	return out
}

const unchained = "the policy does not judge every ReplicaSet and Job, so the pods of Deployments and CronJobs cannot be told by their owner's name: the exception holds for the workload and not for its pods"
