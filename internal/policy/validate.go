package policy

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/labels"

	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/rule"
)

// Validate says what is wrong with a policy: every mistake on a line of its own, with the field's name as its JSON has it. templates
// are those that are kept.
func Validate(p *Policy, lib *rule.Library, templates []Template) error {
	v := &validator{policy: p, lib: lib}
	v.head()
	v.rules()
	v.checks()
	v.templates(templates)
	v.allowed()
	v.scope()
	return errors.Join(v.errs...)
}

// Bounds of lists, as the API's document has them; files and programs do not pass there.
const (
	maxRules    = 1000
	maxChecks   = 100
	maxAllowed  = 1000
	maxPatterns = 1000
	maxKeys     = 20
	maxCVEs     = 1000
)

type validator struct {
	policy *Policy
	lib    *rule.Library
	errs   []error
}

func (v *validator) bad(field, format string, args ...any) {
	const most = 100
	if len(v.errs) < most {
		v.errs = append(v.errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
}

func (v *validator) most(field string, n, most int) {
	if n > most {
		v.bad(field, "%d entries; at most %d are possible", n, most)
	}
}

func (v *validator) text(field, s string, most int) {
	if len([]rune(s)) > most {
		v.bad(field, "longer than %d characters", most)
	}
	if strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
	}) {
		v.bad(field, "holds a character that is not for reading")
	}
}

func (v *validator) action(field string, a Action, needed bool) {
	if a.Rank() == 0 && (needed || a != Off) {
		v.bad(field, "%q: want audit, warn or block", string(a))
	}
}

func (v *validator) head() {
	p := v.policy
	if strings.TrimSpace(p.Name) == "" || strings.ContainsAny(p.Name, "\r\n\t") {
		v.bad("name", "a name on one line is wanted")
	}
	v.text("name", p.Name, 100)
	v.text("description", p.Description, 2000)
	v.action("action", p.Action, true)
	v.action("unanswered", p.Unanswered, false)
	if p.Engine != "" && p.Engine != Gatekeeper && p.Engine != VAP {
		v.bad("engine", "%q: want gatekeeper or vap", string(p.Engine))
	}
	if len(p.Rules)+len(p.Checks)+len(p.Templates) == 0 {
		v.bad("rules", "the policy has neither rules nor checks nor templates: it would do nothing")
	}
	if p.Engine == VAP && len(p.Rules) == 0 {
		v.bad("engine", "vap is for rules of the library, and the policy has none: image checks and templates are Gatekeeper's")
	}
	if r := p.Rollout; !r.Warn.IsZero() && !r.Block.IsZero() && r.Block.Before(r.Warn) {
		v.bad("rollout.blockFrom", "it is before warnFrom")
	}
}

func (v *validator) rules() {
	v.most("rules", len(v.policy.Rules), maxRules)
	seen := map[string]int{}
	for i := range v.policy.Rules {
		u := &v.policy.Rules[i]
		field := fmt.Sprintf("rules[%d]", i)
		v.action(field+".action", u.Action, false)
		r := v.lib.Find(u.Rule)
		switch {
		case r == nil:
			v.bad(field+".rule", "there is no rule %q%s", u.Rule, v.like(u.Rule))
			continue
		case r.Name != u.Rule:
			v.bad(field+".rule", "name it as %q", r.Name)
		case !r.SingleObject():
			v.bad(field+".rule", "%s needs more than one object to judge; admission sees one", r.Name)
		case !export.Enforceable(r):
			v.bad(field+".rule", "%s looks at objects that admission is not asked about", r.Name)
		}
		if first, twice := seen[r.Name]; twice {
			v.bad(field+".rule", "%s stands in rules[%d] already", r.Name, first)
		}
		seen[r.Name] = i
		for _, name := range sortedNames(u.Params) {
			def, ok := r.Params[name]
			if !ok {
				v.bad(field+".params."+name, "%s has no such parameter%s", r.Name, oneOf(sortedNames(r.Params)))
			} else if _, ok := fits(u.Params[name], def); !ok {
				v.bad(field+".params."+name, "is of type %s, want %s", jsonType(u.Params[name]), wanted(def))
			}
		}
	}
}

// like names a rule that was perhaps meant: of the same last part.
func (v *validator) like(name string) string {
	for _, r := range v.lib.Rules {
		if path.Base(r.Name) == path.Base(name) || strings.EqualFold(r.ID, name) {
			return fmt.Sprintf("; is %q meant?", r.Name)
		}
	}
	return ""
}

func oneOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return "; it has " + strings.Join(list, ", ")
}

func wanted(def any) string {
	if list, ok := def.([]any); ok {
		element := "string"
		if len(list) > 0 {
			element = jsonType(list[0])
		}
		return "array of " + element
	}
	return jsonType(def)
}

var vulnerabilityID = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*[-:][A-Za-z0-9:._-]{1,80}$`)

func (v *validator) checks() {
	v.most("checks", len(v.policy.Checks), maxChecks)
	for i := range v.policy.Checks {
		c := &v.policy.Checks[i]
		field := fmt.Sprintf("checks[%d]", i)
		v.action(field+".action", c.Action, false)
		if !slices.Contains(Checks, c.Check) {
			v.bad(field+".check", "%q: want one of %v", string(c.Check), Checks)
			continue
		}
		v.fields(field, c)
		if c.Severity != "" && c.Severity.Rank() < 0 {
			v.bad(field+".severity", "%q: want critical, high, medium, low or info", string(c.Severity))
		}
		if c.EPSS < 0 || c.EPSS > 1 || c.EPSS != c.EPSS {
			v.bad(field+".epss", "want a probability between 0 and 1")
		}
		if c.OlderThan < 0 || c.OlderThan > 36500 {
			v.bad(field+".olderThanDays", "want a number of days")
		}
		if c.MaxAge < 0 || c.MaxAge > 36500 {
			v.bad(field+".maxAgeDays", "want a number of days")
		}
		v.most(field+".cves", len(c.CVEs), maxCVEs)
		for k, id := range c.CVEs {
			if !vulnerabilityID.MatchString(id) {
				v.bad(fmt.Sprintf("%s.cves[%d]", field, k), "%q is no id of a vulnerability, such as CVE-2021-44228", id)
			}
		}
		v.most(field+".rules", len(c.Rules), 200)
		for k, name := range c.Rules {
			if r := v.lib.Find(name); r == nil || !slices.Contains(r.Targets, "image") && len(r.Targets) > 0 {
				v.bad(fmt.Sprintf("%s.rules[%d]", field, k), "there is no rule %q about images%s", name, v.like(name))
			}
		}
		if c.Check == Registry && len(c.Allow) == 0 {
			v.bad(field+".allow", "nothing is allowed: name at least one place, such as registry.example.com/*")
		}
		v.patterns(field+".allow", c.Allow)
		if c.Check == Signature && len(c.Keys) == 0 {
			v.bad(field+".keys", "no key: nothing could be signed")
		}
		v.keys(field+".keys", c.Keys)
	}
}

// fields tells of fields that the check does not look at: who sets them expects them to count.
func (v *validator) fields(field string, c *ImageCheck) {
	set := []struct {
		name string
		on   bool
		of   []Check
	}{
		{"severity", c.Severity != "", []Check{Vulnerabilities, Baseline, Secrets}},
		{"fixable", c.Fixable, []Check{Vulnerabilities}},
		{"exploited", c.Exploited, []Check{Vulnerabilities}},
		{"epss", c.EPSS != 0, []Check{Vulnerabilities}},
		{"olderThanDays", c.OlderThan != 0, []Check{Vulnerabilities}},
		{"cves", len(c.CVEs) > 0, []Check{Vulnerabilities}},
		{"rules", len(c.Rules) > 0, []Check{Baseline}},
		{"maxAgeDays", c.MaxAge != 0, []Check{Unscanned}},
		{"allow", len(c.Allow) > 0, []Check{Registry}},
		{"keys", len(c.Keys) > 0, []Check{Signature}},
	}
	for _, f := range set {
		if f.on && !slices.Contains(f.of, c.Check) {
			v.bad(field+"."+f.name, "the check %s does not look at it", c.Check)
		}
	}
}

func (v *validator) keys(field string, list []Key) {
	v.most(field, len(list), maxKeys)
	for i := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		v.text(at+".name", list[i].Name, 100)
		block, rest := pem.Decode([]byte(list[i].PEM))
		if block == nil || block.Type != "PUBLIC KEY" || strings.TrimSpace(string(rest)) != "" || len(list[i].PEM) > 10000 {
			v.bad(at+".pem", "want one public key in PEM (-----BEGIN PUBLIC KEY-----)")
			continue
		}
		if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			v.bad(at+".pem", "the public key cannot be read")
		}
	}
}

func (v *validator) templates(kept []Template) {
	v.most("templates", len(v.policy.Templates), maxChecks)
	for i := range v.policy.Templates {
		u := &v.policy.Templates[i]
		field := fmt.Sprintf("templates[%d]", i)
		v.action(field+".action", u.Action, false)
		v.kinds(field+".kinds", u.Kinds)
		k := slices.IndexFunc(kept, func(t Template) bool { return t.Name == u.Template })
		if k < 0 {
			v.bad(field+".template", "there is no template %q", u.Template)
			continue
		}
		known, err := ReadTemplate(kept[k])
		if err != nil {
			v.bad(field+".template", "%q cannot be read: %v", u.Template, err)
			continue
		}
		for _, name := range sortedNames(u.Params) {
			at := slices.IndexFunc(known.Params, func(p Param) bool { return p.Name == name })
			switch {
			case at < 0 && len(known.Params) > 0:
				v.bad(field+".params."+name, "the template has no such parameter")
			case at >= 0 && !known.Params[at].takes(u.Params[name]):
				v.bad(field+".params."+name, "is of type %s, want %s", jsonType(u.Params[name]), known.Params[at].Type)
			}
		}
	}
}

// takes reports whether a value is of the parameter's type.
func (p *Param) takes(value any) bool {
	t := jsonType(value)
	if f, ok := value.(float64); ok && f == float64(int64(f)) {
		t = "integer"
	}
	return p.Type == "" || p.Type == t || p.Type == "number" && t == "integer"
}

func (v *validator) allowed() {
	v.most("allowedImages", len(v.policy.Allowed), maxAllowed)
	for i := range v.policy.Allowed {
		a := &v.policy.Allowed[i]
		field := fmt.Sprintf("allowedImages[%d]", i)
		if a.Digest == "" && a.Tag == "" && len(a.Keys) == 0 {
			v.bad(field, "names a repository and no identity: add a digest, a tag or a key, or use scope.excludedImages")
		}
		if a.Digest != "" && !digestForm.MatchString(a.Digest) {
			v.bad(field+".digest", "want sha256: and 64 hexadecimal digits")
		}
		if a.Tag != "" && (a.Repository == "" || strings.ContainsAny(a.Repository, `*?[\`)) {
			v.bad(field+".repository", "a tag needs one repository, written out")
		}
		if a.Tag != "" && !tagForm.MatchString(a.Tag) {
			v.bad(field+".tag", "%q is no tag", a.Tag)
		}
		if len(a.Keys) > 0 && a.Repository == "" && a.Digest == "" {
			v.bad(field+".repository", "say for which repositories the key counts; * is all")
		}
		v.patterns(field+".repository", []string{a.Repository})
		v.keys(field+".keys", a.Keys)
		v.text(field+".reason", a.Reason, 2000)
	}
}

var (
	tagForm       = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	namespaceForm = regexp.MustCompile(`^\*?[-:a-z0-9]*\*?$`)
	kindForm      = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,62}(\.[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$`)
)

func (v *validator) patterns(field string, list []string) {
	v.most(field, len(list), maxPatterns)
	for i, s := range list {
		at := field
		if len(list) > 1 || strings.HasSuffix(field, "mages") || strings.HasSuffix(field, "allow") {
			at = fmt.Sprintf("%s[%d]", field, i)
		}
		if len(s) > MaxReference {
			v.bad(at, "longer than %d characters", MaxReference)
		}
		if _, err := path.Match(strings.ReplaceAll(s, "/", slash), ""); err != nil {
			v.bad(at, "the pattern %q cannot be read: a [ without its ], or a \\ at the end", s)
		}
		if s == "" && at != field {
			v.bad(at, "is empty")
		}
	}
}

func (v *validator) kinds(field string, list []string) {
	v.most(field, len(list), 100)
	for i, k := range list {
		if !kindForm.MatchString(k) {
			v.bad(fmt.Sprintf("%s[%d]", field, i), "%q: want Kind or Kind.group, such as Deployment.apps", k)
		}
	}
}

func (v *validator) scope() {
	s := &v.policy.Scope
	for _, x := range []struct {
		name string
		list []string
	}{{"namespaces", s.Namespaces}, {"excludedNamespaces", s.ExcludedNamespaces}} {
		name, list := x.name, x.list
		v.most("scope."+name, len(list), maxPatterns)
		for i, p := range list {
			if p == "" || len(p) > 65 || !namespaceForm.MatchString(p) {
				v.bad(fmt.Sprintf("scope.%s[%d]", name, i), "%q: want a name, with * at the beginning or the end only", p)
			}
		}
	}
	for _, x := range [][2]string{{"namespaceSelector", s.NamespaceSelector}, {"objectSelector", s.ObjectSelector}} {
		name, text := x[0], x[1]
		if _, err := labels.Parse(text); err != nil {
			v.bad("scope."+name, "%q cannot be read: %v (want a selector such as team=shop,tier in (web,api))", text, err)
			continue
		}
		if strings.ContainsAny(text, "<>") {
			v.bad("scope."+name, "%q compares with < or >, which Kubernetes' own objects cannot", text)
		}
	}
	v.kinds("scope.kinds", s.Kinds)
	v.patterns("scope.images", s.Images)
	v.patterns("scope.excludedImages", s.ExcludedImages)
	for i, o := range s.Operations {
		if o != "CREATE" && o != "UPDATE" {
			v.bad(fmt.Sprintf("scope.operations[%d]", i), "%q: want CREATE or UPDATE", o)
		}
	}
	for _, x := range []struct {
		name string
		list []string
	}{{"exceptUsers", s.Users}, {"exceptGroups", s.Groups}} {
		name, list := x.name, x.list
		v.most("scope."+name, len(list), 100)
		for i, u := range list {
			if u == "" || len(u) > 500 {
				v.bad(fmt.Sprintf("scope.%s[%d]", name, i), "want a name")
			}
		}
	}
	if slices.Contains(s.Groups, "system:authenticated") {
		v.bad("scope.exceptGroups", "system:authenticated is everybody: the policy would hold for nobody")
	}
	for i, id := range s.Clusters {
		if id <= 0 {
			v.bad(fmt.Sprintf("scope.clusters[%d]", i), "want the id of a cluster")
		}
	}
}
