package report

import "stockade.dev/stockade/internal/finding"

// words are the fixed texts of reports in one language.
type words struct {
	severity      map[finding.Severity]string
	severityWidth int
	clause        map[finding.ClauseStatus]string
	fix           string
	more          string // count, rule
	components    string
	because       string
	compliance    string
	framework     string
	score         string
	notScanned    string
	suppressed    string // count
	stats         string // findings, objects, rules, checks, seconds
}

func wordsIn(lang string) words {
	if lang == "zh" {
		return words{
			severity: map[finding.Severity]string{finding.Critical: "严重", finding.High: "高危", finding.Medium: "中危",
				finding.Low: "低危", finding.Info: "提示"},
			severityWidth: 4,
			clause: map[finding.ClauseStatus]string{finding.Pass: "通过", finding.Fail: "不通过", finding.Manual: "需人工确认",
				finding.NotApplicable: "不适用"},
			fix: "修复：", more: "……另有 %d 处（--only %s -o json 可查看全部）", components: "核心组件",
			because: "无法扫描，因为：", compliance: "合规", framework: "框架", score: "得分", notScanned: "未扫描",
			suppressed: "已抑制 %d 项：", stats: "%d 项风险；扫描对象 %d 个，规则 %d 条，检查 %d 次，用时 %.1f 秒",
		}
	}
	return words{
		severity: map[finding.Severity]string{finding.Critical: "CRITICAL", finding.High: "HIGH", finding.Medium: "MEDIUM",
			finding.Low: "LOW", finding.Info: "INFO"},
		severityWidth: 8,
		clause:        map[finding.ClauseStatus]string{finding.Pass: "Pass", finding.Fail: "Fail", finding.Manual: "Manual", finding.NotApplicable: "Not applicable"},
		fix:           "Fix:", more: "... and %d more (all of them: --only %s -o json)", components: "Core components",
		because: "cannot be scanned because ", compliance: "Compliance", framework: "Framework", score: "Score", notScanned: "Not scanned",
		suppressed: "Suppressed: %d", stats: "%d findings; %d objects, %d rules, %d checks in %.1f s",
	}
}
