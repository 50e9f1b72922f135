package report

import (
	"strings"

	"stockade.dev/stockade/internal/finding"
)

// How a vulnerability was verified, in words: the forms for people write it below the finding, csv into one cell.

// verifiedWords are its texts in one language.
type verifiedWords struct {
	verdict   string
	verdicts  map[string]string
	classes   map[string]string
	holds     map[string]string // of a precondition
	proofs    map[string]string // of a fix
	open      string            // of a finding whose version could not be read
	colon     string
	brackets  [2]string
	separator string
}

var verifiedIn = map[string]*verifiedWords{
	"en": {
		verdict: "Verdict",
		verdicts: map[string]string{"exposed": "exposed: every precondition was seen", "version-only": "affected by version only: a precondition is missing",
			"unknown": "affected by version; a precondition could not be looked at"},
		classes: map[string]string{"read": "reads files and facts", "process": "reads /proc", "request": "asks a local port", "private": "private temporary file"},
		holds:   map[string]string{"yes": "holds", "no": "does not hold", "unknown": "not looked at"},
		proofs:  map[string]string{"yes": "fix proved", "no": "fix not proved", "unknown": "fix not looked for"},
		open:    "Not read", colon: ": ", brackets: [2]string{" (", ")"}, separator: "; ",
	},
	"zh": {
		verdict: "核实结论",
		verdicts: map[string]string{"exposed": "存在暴露：全部利用条件均已确认", "version-only": "仅版本受影响：缺少利用条件",
			"unknown": "版本受影响，但部分利用条件无法核实"},
		classes: map[string]string{"read": "读取文件和已采集信息", "process": "读取 /proc", "request": "请求本机端口", "private": "私有临时文件"},
		holds:   map[string]string{"yes": "成立", "no": "不成立", "unknown": "未能检查"},
		proofs:  map[string]string{"yes": "已证实修复", "no": "未证实修复", "unknown": "未能检查是否修复"},
		open:    "未能读取", colon: "：", brackets: [2]string{"（", "）"}, separator: "；",
	},
}

func verifiedWordsIn(lang string) *verifiedWords {
	if w := verifiedIn[lang]; w != nil {
		return w
	}
	return verifiedIn["en"]
}

// worded is the text for a value, or the value: documents of a newer program may have others.
func worded(texts map[string]string, v string) string {
	if t, ok := texts[v]; ok {
		return t
	}
	return plain(v)
}

// verdict is the verdict on one line.
func (w *verifiedWords) verdictOf(v *finding.Verification) string {
	return w.verdict + w.colon + worded(w.verdicts, v.Verdict)
}

// check is what one check saw on one line: whether it holds, how much it touched, what it asks, and the evidence or the reason.
func (w *verifiedWords) check(c *finding.Verified, lang string) string {
	holds := w.holds
	if c.Proof {
		holds = w.proofs
	}
	s := worded(holds, c.Holds)
	if c.Class != "" {
		s += w.brackets[0] + worded(w.classes, c.Class) + w.brackets[1]
	}
	if lang != "zh" || c.Class == "" {
		s += w.colon
	}
	says := plain(c.Says.In(lang))
	if says == "" {
		says = plain(c.Check)
	}
	s += says
	if seen := plain(c.Said().In(lang)); seen != "" {
		s += w.colon + seen
	}
	return s
}

// unread is what could not be read, where no check has said it.
func (w *verifiedWords) unread(v *finding.Verification, lang string) string {
	if v.NotRead == "" {
		return ""
	}
	for i := range v.Checks {
		if v.Checks[i].Reason == v.NotRead {
			return ""
		}
	}
	return w.open + w.colon + plain(v.Unread().In(lang))
}

// verifiedLines are the verdict and below it a line for every check; nil where a finding is no emergency.
func verifiedLines(f *finding.Finding, lang string) []string {
	v := f.Emergency
	if v == nil {
		return nil
	}
	w := verifiedWordsIn(lang)
	out := []string{w.verdictOf(v)}
	for i := range v.Checks {
		out = append(out, w.check(&v.Checks[i], lang))
	}
	if s := w.unread(v, lang); s != "" {
		out = append(out, s)
	}
	return out
}

// notLooked are the checks that could not look, with their reasons, on one line.
func notLooked(v *finding.Verification, lang string) string {
	w := verifiedWordsIn(lang)
	var parts []string
	for i := range v.Checks {
		if c := &v.Checks[i]; c.Holds == "unknown" {
			parts = append(parts, plain(c.Says.In(lang))+w.colon+plain(c.Said().In(lang)))
		}
	}
	if s := w.unread(v, lang); s != "" {
		parts = append(parts, s)
	}
	return strings.Join(parts, w.separator)
}

// ownEvidence is the evidence of a finding without what its checks say themselves.
func ownEvidence(f *finding.Finding) []finding.Evidence {
	if f.Emergency == nil {
		return f.Evidence
	}
	checks := map[string]bool{}
	for _, c := range f.Emergency.Checks {
		checks[c.Check] = true
	}
	var out []finding.Evidence
	for _, e := range f.Evidence {
		if !checks[e.Path] {
			out = append(out, e)
		}
	}
	return out
}
