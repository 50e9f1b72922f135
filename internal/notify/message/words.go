package message

import (
	"fmt"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/finding"
)

// Words of messages, by language.
var severities = map[finding.Severity]finding.Text{
	finding.Critical: {EN: "critical", ZH: "致命"},
	finding.High:     {EN: "high", ZH: "高危"},
	finding.Medium:   {EN: "medium", ZH: "中危"},
	finding.Low:      {EN: "low", ZH: "低危"},
	finding.Info:     {EN: "info", ZH: "提示"},
}

// SeverityWord is a severity as people read it.
func SeverityWord(s finding.Severity, lang string) string { return severities[s].In(lang) }

// More says how many findings are not listed; "" for none.
func More(n int, lang string) string {
	switch {
	case n <= 0:
		return ""
	case lang == "zh":
		return fmt.Sprintf("另有 %d 项未列出", n)
	case n == 1:
		return "and 1 more"
	}
	return fmt.Sprintf("and %d more", n)
}

// Open is the word of the link to the console.
func Open(lang string) string {
	return finding.Text{EN: "Open in Stockade", ZH: "在 Stockade 中查看"}.In(lang)
}

// Changed gives the title and text of what happened to findings of a target.
func Changed(target string, c Counts) (title, text finding.Text) {
	var en, zh []string
	add := func(n int, one, many, chinese string) {
		if n == 1 {
			en = append(en, "1 "+one)
		} else if n > 0 {
			en = append(en, strconv.Itoa(n)+" "+many)
		}
		if n > 0 {
			zh = append(zh, fmt.Sprintf("%s %d 项", chinese, n))
		}
	}
	add(c.New, "new finding", "new findings", "新发现")
	add(c.Reopened, "reopened", "reopened", "重新出现")
	add(c.Changed, "changed", "changed", "状态变化")
	title = finding.Text{EN: strings.Join(en, ", "), ZH: strings.Join(zh, ",")}
	if target != "" {
		title = finding.Text{EN: target + ": " + title.EN, ZH: target + ":" + title.ZH}
	}
	en, zh = nil, nil
	for _, s := range finding.Severities {
		if n := c.Severity[string(s)]; n > 0 {
			en = append(en, fmt.Sprintf("%d %s", n, severities[s].EN))
			zh = append(zh, fmt.Sprintf("%s %d", severities[s].ZH, n))
		}
	}
	return title, finding.Text{EN: strings.Join(en, ", "), ZH: strings.Join(zh, ",")}
}

// topics are titles of the topics that are not about findings. {name} words are of the event's details, of which foreign ones
// arrive cleaned.
var topics = map[string]finding.Text{
	"cluster.state":      {EN: "Cluster {target} is {state}", ZH: "集群 {target} 状态:{state}"},
	"task.finished":      {EN: "Scan task {name}: {status}", ZH: "扫描任务 {name}:{status}"},
	"exception.asked":    {EN: "An exception waits for approval (asked for by {requester})", ZH: "有例外待审批(申请人:{requester})"},
	"exception.decided":  {EN: "Exception {exception}: {status} by {approver}", ZH: "例外 {exception}:{status}(审批人:{approver})"},
	"exception.expiring": {EN: "Exception {exception} of {requester} ends on {expires}", ZH: "{requester} 的例外 {exception} 将于 {expires} 失效"},
	"exception.ended":    {EN: "Exception {exception} ended ({why}), findings reopened: {reopened}", ZH: "例外 {exception} 已失效({why}),重新打开的风险:{reopened}"},
	"protection.state":   {EN: "Protection of {target}: {state}", ZH: "集群 {target} 防护状态:{state}"},
	"protection.drift":   {EN: "{target}: {object} was changed ({change}) by {actor}", ZH: "{target}:{object} 被 {actor} 更改({change})"},
	"policy.changed":     {EN: "Policy {name}: {change} by {by}, version {version}", ZH: "策略 {name}：{by} 执行 {change}，版本 {version}"},
	"report.due":         {EN: "Report {name}: findings {findings}", ZH: "报表 {name}:风险 {findings} 项"},
	"test":               {EN: "Test message from Stockade: this channel works", ZH: "Stockade 测试消息:通道可用"},
	"digest":             {EN: "Stockade: summary of {events} events", ZH: "Stockade:{events} 条事件的汇总"},
}

// Told gives the title and text of an event of another topic.
func Told(topic string, details map[string]string) (title, text finding.Text) {
	t, ok := topics[topic]
	if !ok {
		return finding.Text{EN: topic, ZH: topic}, finding.Text{}
	}
	var pairs []string
	for k, v := range details {
		pairs = append(pairs, "{"+k+"}", v)
	}
	fill := strings.NewReplacer(pairs...)
	title = finding.Text{EN: clean(fill.Replace(t.EN)), ZH: clean(fill.Replace(t.ZH))}
	return title, finding.Text{EN: details["reason"], ZH: details["reason"]}
}

// clean takes words out that the details did not have.
func clean(s string) string {
	for {
		before, rest, ok := strings.Cut(s, "{")
		_, after, end := strings.Cut(rest, "}")
		if !ok || !end {
			return s
		}
		s = before + "-" + after
	}
}
