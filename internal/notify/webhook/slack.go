package webhook

import (
	"encoding/json"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/notify/message"
)

type slackMessage struct {
	Text        string            `json:"text"`
	Attachments []slackAttachment `json:"attachments,omitempty"`
}

type slackAttachment struct {
	Color    string   `json:"color"`
	Fallback string   `json:"fallback"`
	Text     string   `json:"text"`
	MrkdwnIn []string `json:"mrkdwn_in"`
}

var colors = map[finding.Severity]string{finding.Critical: "#a8071a", finding.High: "#d4380d", finding.Medium: "#d48806", finding.Low: "#1677ff", finding.Info: "#8c8c8c"}

// Slack is the form of Slack's incoming webhooks, which Mattermost, Rocket.Chat and others take too.
func Slack(e *message.Event, lang string) ([]byte, string, error) {
	d := e.In(lang)
	text := "*" + mark(d.Title) + "*"
	if d.Text != "" {
		text += "\n" + mark(d.Text)
	}
	var lines []string
	for i, f := range d.Findings {
		line := "*" + message.SeverityWord(f.Severity, lang) + "* " + mark(f.Title) + " " + code(e.Findings[i].Where())
		if f.KEV {
			line += " *KEV*"
		}
		lines = append(lines, line)
	}
	if more := message.More(d.More, lang); more != "" {
		lines = append(lines, more)
	}
	for _, p := range d.Parts {
		lines = append(lines, p.At.Format("2006-01-02 15:04")+" "+mark(p.Title))
	}
	if d.Report != nil && d.Report.Link != "" {
		lines = append(lines, "<"+link(d.Report.Link)+"|"+mark(d.Report.Name)+">")
	}
	if d.Link != "" {
		lines = append(lines, "<"+link(d.Link)+"|"+message.Open(lang)+">")
	}
	m := slackMessage{Text: text}
	if len(lines) > 0 {
		color := colors[d.Severity]
		if color == "" {
			color = colors[finding.Info]
		}
		m.Attachments = []slackAttachment{{color, d.Title, strings.Join(lines, "\n"), []string{"text"}}}
	}
	body, err := json.Marshal(m)
	return body, "application/json", err
}

var entities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// breaks puts a space of no width where foreign text would call people or make links and styles.
var breaks = strings.NewReplacer("@", "@\u200b", "](", "]\u200b(", "`", "'", "*", "\u2217", "~", "\u223c", "://", ":\u200b//")

// mark makes foreign text plain in a message: no mentions, links or styles come of it.
func mark(s string) string { return entities.Replace(breaks.Replace(message.Line(s))) }

// code shows a foreign name as it is, in a code span.
func code(s string) string {
	s = strings.ReplaceAll(message.Line(s), "`", "'")
	if s == "" {
		return ""
	}
	return "`" + entities.Replace(s) + "`"
}

func link(s string) string { return strings.NewReplacer("|", "%7C", "<", "%3C", ">", "%3E").Replace(s) }
