package provider

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
)

// clean makes a text of somebody else's safe to show: one line, no characters that change how the rest is read, of bounded length.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(s) > most && len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// shownItems are the vulnerabilities, files and so on that a refusal names; the console has the others.
const shownItems = 3

// refusal is what kubectl shows of a violation: the first things that were found follow the message.
func refusal(b *policy.Bundle, v policy.Violation) string {
	if items := v.Items[:min(len(v.Items), shownItems)]; len(items) > 0 && v.Rule != policy.Tag.Rule() && v.Rule != policy.Registry.Rule() {
		list := strings.Join(items, ", ")
		v.Message = finding.Text{EN: strings.TrimRight(v.Message.EN, ". ") + ": " + list, ZH: strings.TrimRight(v.Message.In("zh"), "。") + "：" + list}
	}
	return b.Refusal(&v)
}

// unanswered is what a policy says to an image without a verdict.
func unanswered(b *policy.Bundle, name string, u *policy.Undecided) string {
	image := clean(u.Image, 120)
	return b.Refusal(&policy.Violation{Policy: u.Policy, Name: name, Rule: "image/unanswered", Action: u.Action, Image: u.Image,
		Message: finding.Text{EN: "No verdict on the image " + image + ": " + u.Reason, ZH: "镜像 " + image + " 尚无判定结果：" + u.Reason},
		Fix:     finding.Text{EN: "It is asked for: try again in a moment.", ZH: "已提交扫描，请稍后重试。"}})
}
