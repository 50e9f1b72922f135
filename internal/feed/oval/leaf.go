package oval

import (
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed/notation"
)

// claim is what one criterion says of packages: those older than evr are vulnerable, or all when evr is "".
type claim struct {
	names    []string
	source   string // the source package, where the feed names it (Ubuntu)
	evr      string
	last     bool // evr itself is vulnerable too
	arches   []string
	state    advisory.State
	reason   string
	impacted bool // false: the criterion is no claim
	test     string
}

var (
	earlier   = regexp.MustCompile(`^(?:Package )?(\S+?)(?: DPKG)? (?:is earlier than|less than) ([^\s,]+)`)
	installed = regexp.MustCompile(`^(\S+) is installed$`)
	judged    = regexp.MustCompile(`^(\S+) is (not )?affected$`) // SUSE's files of unfixed packages
	enabled   = regexp.MustCompile(`^Module (\S+):(\S+) is enabled$`)
	flavored  = regexp.MustCompile(`^\S+ is (ksplice|fips)(?:-based| patched)?$`)
	onArch    = regexp.MustCompile(`(?i)\barch(?:itecture)? is (\S+)$`)
	// Ubuntu says in words what it thinks of a package: "openssh package in jammy was vulnerable but has been fixed
	// (note: '1:8.9p1-3ubuntu0.5')."
	worded = regexp.MustCompile(`^(?:\((CVE-[0-9-]+)\) )?(?:While related to the CVE in some way, )?(?:the )?'?([a-z0-9][a-z0-9.+-]*)'? package in (\S+) (.*)$`)
	noted  = regexp.MustCompile(`\(note: '(.*)'\)`)
)

// claims reads a criterion by its test, and by its comment when the file lacks the test.
func (d *document) claims(c *criterion) claim {
	if judgedBy := judged.FindStringSubmatch(c.Comment); judgedBy != nil {
		out := claim{names: []string{judgedBy[1]}, state: advisory.Affected, impacted: true}
		if judgedBy[2] != "" {
			out.state = advisory.NotAffected
		}
		return out
	}
	if w := worded.FindStringSubmatch(c.Comment); w != nil {
		return d.ubuntu(c, w)
	}
	t := d.tests[c.Test]
	if t == nil {
		return byComment(c.Comment)
	}
	if t.Existence == "none_exist" || t.Existence == "none_satisfy" || t.Check == "none satisfy" {
		return claim{}
	}
	switch t.kind {
	case "rpminfo_test", "dpkginfo_test", "textfilecontent54_test":
	default:
		return claim{}
	}
	names := d.names(t)
	if len(names) == 0 {
		return byComment(c.Comment) // files are cut, or lack what they refer to
	}
	out := claim{names: names, test: c.Test}
	if len(t.States) == 0 {
		if t.kind == "textfilecontent54_test" {
			return claim{}
		}
		out.state, out.impacted = advisory.Affected, true
		return out
	}
	for _, s := range t.States {
		st := d.states[s.Ref]
		if st == nil {
			return byComment(c.Comment)
		}
		if !out.narrow(st) {
			return claim{}
		}
	}
	out.impacted = out.evr != ""
	return out
}

// narrow adds what a state says; it reports false for states that say nothing of versions: keys, releases.
func (c *claim) narrow(s *state) bool {
	if s.Key != "" {
		return false
	}
	v := s.EVR
	if v.Text == "" && strings.Contains(s.Sub.Type, "evr") {
		v = s.Sub
	}
	if v.Text != "" {
		switch v.Operation {
		case "less than", "6": // SUSE wrote the number of the operation for years
		case "less than or equal":
			c.last = true
		default:
			return false
		}
		c.evr = notation.Canonical(v.Text)
		if c.last {
			c.state = advisory.Affected
		}
	}
	if s.Arch.Text != "" {
		c.arches = archList(s.Arch.Text)
	}
	return v.Text != "" || s.Arch.Text != "" && s.Major.Text == ""
}

// archList reads "x86_64" and patterns such as "(aarch64|ppc64le)" or "aarch64|x86_64".
func archList(s string) []string {
	var list []string
	for a := range strings.SplitSeq(strings.Trim(strings.TrimSpace(s), "^$()"), "|") {
		if slices.Contains(notation.Arches, a) && a != "noarch" && a != "all" {
			list = append(list, a)
		}
	}
	return list
}

// names are the packages a test looks at.
func (d *document) names(t *test) []string {
	o := d.objects[t.Object.Ref]
	if o == nil {
		return nil
	}
	v := o.Name.Var
	if v == "" {
		v = o.Pattern.Var
	}
	if v == "" {
		if o.Name.Text == "" {
			return nil
		}
		return []string{o.Name.Text}
	}
	var names []string
	for _, value := range d.variables[v] {
		// A name, or a pattern over the lines of a manifest: "^libssh-4(?::\w+|)\s+(.*)$".
		value = strings.TrimPrefix(strings.TrimSpace(value), "^")
		if i := strings.Index(value, "(?:"); i > 0 {
			value = value[:i]
		}
		value = strings.ReplaceAll(value, `\`, "")
		if value != "" && !strings.ContainsAny(value, "()*?[]| $^") {
			names = append(names, value)
		}
	}
	return names
}

func byComment(comment string) claim {
	if m := earlier.FindStringSubmatch(comment); m != nil {
		return claim{names: []string{m[1]}, evr: notation.Canonical(strings.TrimRight(m[2], ",.")), impacted: true}
	}
	if m := installed.FindStringSubmatch(comment); m != nil {
		if name, evr, _, ok := notation.NEVRA(m[1]); ok && notation.Versioned(m[1]) {
			return claim{names: []string{name}, evr: evr, impacted: true} // SUSE: "tar-1.34-2.2 is installed" means older
		}
	}
	return claim{}
}

// ubuntu reads Canonical's sentences. A version is in the test's state, or in the note.
func (d *document) ubuntu(c *criterion, w []string) claim {
	out := claim{names: []string{w[2]}, source: w[2], impacted: true, test: c.Test}
	words := w[4]
	if m := noted.FindStringSubmatch(words); m != nil {
		out.reason = m[1]
	}
	switch {
	case strings.Contains(words, "has been fixed"):
		out.evr, out.reason = out.reason, ""
		if t := d.tests[c.Test]; t != nil {
			for _, s := range t.States {
				if st := d.states[s.Ref]; st != nil && st.Sub.Text != "" {
					out.evr = notation.Canonical(st.Sub.Text)
				}
			}
			out.names = d.names(t)
		}
		out.impacted = out.evr != ""
	case strings.Contains(words, "not affected"):
		out.state = advisory.NotAffected
	case strings.Contains(words, "defer"):
		out.state = advisory.Deferred
	case strings.Contains(words, "ignore"):
		out.state = advisory.WillNotFix
	case strings.Contains(words, "end of life"), strings.Contains(words, "end-of-life"):
		out.state = advisory.EndOfLife
	case strings.Contains(words, "may need"):
		out.state = advisory.Investigating
	default:
		out.state = advisory.Affected
	}
	return out
}
