package assess

import (
	"fmt"
	"strings"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/store"
)

// pair is a text in both languages.
func pair(en, zh string) finding.Text { return finding.Text{EN: en, ZH: zh} }

// words are the fixed texts of an assessment.
var words = map[string]finding.Text{
	"report": pair("Compliance assessment", "合规评估报告"), "written": pair("Written", "生成时间"), "by": pair("For", "生成人"),
	"source": pair("Standard", "标准来源"), "scope": pair("Scope", "评估范围"), "cluster": pair("Cluster", "集群"), "judged": pair("Judged", "评估时间"),
	"objects": pair("Objects read", "读取对象数"), "rules": pair("Rules (digest)", "规则库摘要"), "database": pair("Advisories (digest)", "漏洞库摘要"),
	"none": pair("none", "无"), "score": pair("Score", "得分"), "version": pair("Program", "程序版本"), "note": pair("What the mapping covers", "条款映射说明"),
	"how": pair("How to read this", "阅读说明"), "section": pair("Section", "章节"), "clause": pair("Clause", "条款"), "title": pair("Requirement", "要求"),
	"verdict": pair("Verdict", "结论"), "why": pair("Basis", "判定依据"), "severity": pair("Severity", "级别"), "object": pair("Object", "对象"),
	"path": pair("Path", "路径"), "found": pair("Found", "实际值"), "want": pair("Wanted", "期望值"), "status": pair("Status", "状态"), "finding": pair("Finding", "风险项"),
	"absent": pair("(not set)", "（未设置）"), "pass": pair("Pass", "符合"), "fail": pair("Fail", "不符合"), "fail-accepted": pair("Fails, accepted", "不符合（已接受）"),
	"manual": pair("Manual", "需人工核查"), "not-applicable": pair("Not applicable", "不适用"), "attested": pair("Attested by a person", "人工认定"),
	"attestedAs": pair("%s, attested by %s on %s, until %s", "%s，由 %s 于 %s 人工认定，有效期至 %s"), "evidence": pair("Evidence", "证据"),
	"open":      pair("active", "未处置"),
	"accepted":  pair("accepted", "已接受"),
	"aside":     pair("set aside by hand", "人工忽略或标记修复"),
	"more":      pair("and %d more findings, which the console lists", "另有 %d 个风险项，请在控制台查看"),
	"gaps":      pair("What was not looked at", "未检查的内容"),
	"noGaps":    pair("Nothing was left out.", "没有遗漏。"),
	"moreGaps":  pair("There is more that was not looked at than is listed here.", "未检查的内容不止此处所列。"),
	"what":      pair("What", "内容"),
	"reason":    pair("Reason", "原因"),
	"since":     pair("Since", "起始时间"),
	"code":      pair("Kind", "类型"),
	"noTargets": pair("No scan has judged this framework in what you may see: nothing can be said.", "在您可见的范围内，尚无扫描评估过该框架，无法给出结论。"),
	"cut":       pair("There are more clusters than this file lists.", "集群数量超出本文件所列。"),
	"decidedBy": pair("Rules", "判定规则"),
	"legend": pair("Pass and Fail are decided by rules at the last scan of the whole cluster. “Fails, accepted” is a failure whose findings were all accepted by exceptions or set aside: it is no pass and does not raise the score. “Manual” is not decided by rules: a person has to look. An attestation is what a person stated; it is never the verdict of a rule and does not count in the score. The score is the share of decided clauses that pass.",
		"“符合”与“不符合”由规则依据最近一次整集群扫描判定。“不符合（已接受）”指其全部风险项已通过例外接受或被人工处置：这不等于符合，也不会提高得分。“需人工核查”的条款规则无法判定，须由人员核查。“人工认定”是人员的陈述，不是规则结论，也不计入得分。得分为已判定条款中符合的比例。"),
}

type speaker struct{ lang string }

func (s speaker) t(key string) string { return words[key].In(s.lang) }

func (s speaker) at(t store.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04") + " UTC"
}

func (s speaker) day(t store.Time) string { return t.UTC().Format(time.DateOnly) }

var severities = map[finding.Severity]finding.Text{finding.Critical: pair("Critical", "严重"), finding.High: pair("High", "高危"), finding.Medium: pair("Medium", "中危"),
	finding.Low: pair("Low", "低危"), finding.Info: pair("Info", "提示")}

func (s speaker) severity(v finding.Severity) string { return severities[v].In(s.lang) }

// standing says in words what became of a finding.
func (s speaker) standing(f *browse.Full) string {
	switch {
	case f.Status.Active():
		return s.t("open")
	case f.Status.String() == "accepted":
		return s.t("accepted")
	}
	return s.t("aside")
}

// basis says why a verdict is what it is.
func (s speaker) basis(v *Verdict) string {
	var parts []string
	if text := v.Reason.In(s.lang); text != "" {
		parts = append(parts, text)
	}
	for _, n := range []struct {
		n   int
		key string
	}{{v.Open, "open"}, {v.Accepted, "accepted"}, {v.Aside, "aside"}} {
		if n.n > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", s.t(n.key), n.n))
		}
	}
	if a := v.Attestation; a != nil {
		parts = append(parts, fmt.Sprintf(s.t("attestedAs"), s.t(a.Verdict), a.By, s.day(a.At), s.day(a.ExpiresAt)))
	}
	sep := "; "
	if s.lang == "zh" {
		sep = "；"
	}
	return strings.Join(parts, sep)
}

// title is the requirement: in the framework's own words, or as it was judged.
func (s speaker) title(v *Verdict) string {
	if v.Entry != nil {
		return v.Entry.Title.In(s.lang)
	}
	return v.Title.In(s.lang)
}

func (s speaker) section(v *Verdict) string {
	if v.Entry != nil {
		return v.Entry.Section.In(s.lang)
	}
	return ""
}

// object names what a finding is about.
func object(r finding.Resource) string {
	out := r.Kind
	if r.Namespace != "" {
		out += " " + r.Namespace + "/" + r.Name
	} else {
		out += " " + r.Name
	}
	if r.Container != "" {
		out += " (" + r.Container + ")"
	}
	if r.File != "" {
		out += " " + r.File
	}
	return strings.TrimSpace(out)
}
