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
	vulnTypes     map[string]string
	vulnHeader    [5]string
	states        map[string]string // of a vulnerability without a fixed version
	coreComponent string
	usedBy        string // count of containers
	exploited     string
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
	vulnTypes:  map[string]string{"system": "系统软件包", "application": "应用组件", "binary": "二进制程序"},
	vulnHeader: [5]string{"级别", "漏洞", "软件包", "当前版本", "修复版本"},
	states: map[string]string{"affected": "暂无修复", "will-not-fix": "不予修复", "deferred": "暂缓修复", "under-investigation": "调查中",
		"end-of-life": "已停止维护", "fixed": "有修复版本"},
	coreComponent: "核心组件", usedBy: "被 %d 个容器使用", exploited: "已知被利用",
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
	clean:      "%d objects checked by %d rules",
	vulnTypes:  map[string]string{"system": "System packages", "application": "Application libraries", "binary": "Binaries"},
	vulnHeader: [5]string{"Severity", "Vulnerability", "Package", "Installed", "Fixed in"},
	states: map[string]string{"affected": "no fix yet", "will-not-fix": "will not be fixed", "deferred": "fix deferred",
		"under-investigation": "under investigation", "end-of-life": "end of life", "fixed": "fix available"},
	coreComponent: "Core component", usedBy: "containers: %d", exploited: "known exploited",
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
