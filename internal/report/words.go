package report

import (
	"fmt"

	"stockade.dev/stockade/internal/finding"
)

// words are the fixed texts of reports in one language.
type words struct {
	severity      map[finding.Severity]string
	severityWidth int
	clause        map[finding.ClauseStatus]string
	risk          map[string]string
	risks         string
	rulesPassed   string // the share of rules without a finding
	findings      string
	fix           string
	more          string // count, rule
	others        string // count; behind a few names
	cut           string // count; in place of the rest of a list
	components    string
	because       string
	compliance    string
	framework     string
	score         string
	notScanned    string
	suppressed    string // count
	moreRules     string // count
	clusterWide   string
	clean         string // objects, rules
	failed        func(findings int) string
	stats         func(findings int, s finding.Stats) string
}

func wordsIn(lang string) words {
	if lang == "zh" {
		return chinese
	}
	return english
}

var chinese = words{
	severity: map[finding.Severity]string{finding.Critical: "严重", finding.High: "高危", finding.Medium: "中危",
		finding.Low: "低危", finding.Info: "提示"},
	severityWidth: 4,
	clause: map[finding.ClauseStatus]string{finding.Pass: "通过", finding.Fail: "不通过", finding.Manual: "需人工确认",
		finding.NotApplicable: "不适用"},
	risk: map[string]string{"control-plane": "控制平面", "access-control": "访问控制", "key-management": "密钥管理", "network": "网络",
		"workload": "工作负载", "node-escape": "节点逃逸", "image": "镜像", "supply-chain": "供应链"},
	risks: "风险类型", rulesPassed: "通过率", findings: "风险项",
	fix: "修复：", more: "……另有 %d 处（用 --only %s -o json 查看全部）", others: "，另有 %d 项", cut: "……另有 %d 项", components: "核心组件",
	because: "无法扫描，因为：", compliance: "合规", framework: "框架", score: "得分", notScanned: "未扫描", suppressed: "已抑制：%d 项",
	moreRules: "另有 %d 条规则存在风险项，完整结果见其他格式的报告。", clusterWide: "集群级", clean: "已用 %[2]d 条规则检查 %[1]d 个对象",
	failed: func(n int) string { return fmt.Sprintf("%d 个风险项", n) },
	stats: func(n int, s finding.Stats) string {
		return fmt.Sprintf("风险项 %d 个；扫描对象 %d 个，规则 %d 条，检查 %d 次，用时 %.1f 秒", n, s.Objects, s.Rules, s.Checks, float64(s.DurationMs)/1000)
	},
}

var english = words{
	severity: map[finding.Severity]string{finding.Critical: "CRITICAL", finding.High: "HIGH", finding.Medium: "MEDIUM",
		finding.Low: "LOW", finding.Info: "INFO"},
	severityWidth: 8,
	clause:        map[finding.ClauseStatus]string{finding.Pass: "Pass", finding.Fail: "Fail", finding.Manual: "Manual", finding.NotApplicable: "Not applicable"},
	risk: map[string]string{"control-plane": "Control plane", "access-control": "Access control", "key-management": "Key management", "network": "Network",
		"workload": "Workload", "node-escape": "Node escape", "image": "Image", "supply-chain": "Supply chain"},
	risks: "Risk type", rulesPassed: "Rules passed", findings: "Findings",
	fix: "Fix:", more: "... and %d more (all of them: --only %s -o json)", others: " and %d more", cut: "... and %d more", components: "Core components",
	because: "cannot be scanned because ", compliance: "Compliance", framework: "Framework", score: "Score", notScanned: "Not scanned",
	suppressed: "Suppressed: %d", moreRules: "%d more rules have findings; the other forms of report hold all of them.", clusterWide: "cluster-wide",
	clean:  "%d objects checked by %d rules",
	failed: func(n int) string { return count(n, "finding") },
	stats: func(n int, s finding.Stats) string {
		return fmt.Sprintf("%s; %s, %s, %s in %.1f s", count(n, "finding"), count(s.Objects, "object"), count(s.Rules, "rule"),
			count(int(s.Checks), "check"), float64(s.DurationMs)/1000)
	},
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
