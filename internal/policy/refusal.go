package policy

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// maxRefusal is about how long a line of a refusal is: kubectl shows all of them in one.
const maxRefusal = 300

// Refusal is a violation as kubectl shows it, in the bundle's language: the rule, the container, the place, what was found, what is
// needed, how to repair it, and where the full story stands.
func (b *Bundle) Refusal(v *Violation) string {
	zh := b.Lang == "zh"
	id := v.RuleID
	if id == "" {
		id = v.Rule
	}
	colon, stop := ": ", ". "
	if zh {
		colon, stop = "：", "。"
	}
	var head strings.Builder
	fmt.Fprintf(&head, "[%s] ", id)
	switch {
	case v.Image != "" || v.RuleID == "":
		text := v.Message.In(b.Lang)
		if v.Container != "" {
			text = containerWord(zh) + " " + plain(v.Container) + colon + text
		}
		head.WriteString(plain(text))
	default:
		head.WriteString(plain(v.Title.In(b.Lang)) + colon + b.place(v, zh))
	}
	tail := fmt.Sprintf(`Policy %q`, plain(v.Name))
	if zh {
		tail = fmt.Sprintf("策略 %q", plain(v.Name))
	}
	if b.Console != "" {
		more := "; more: "
		if zh {
			more = "；详情："
		}
		tail += fmt.Sprintf("%s%s/protection/why?policy=%d&rule=%s", more, strings.TrimSuffix(b.Console, "/"), v.Policy, url.QueryEscape(id))
	}
	text := cut(head.String(), maxRefusal-len([]rune(tail))-2)
	fix := plain(v.Fix.In(b.Lang))
	if room := maxRefusal - len([]rune(text)) - len([]rune(tail)) - 4; fix != "" && room > 20 {
		text = strings.TrimRight(text, ".。") + stop + strings.TrimRight(cut(fix, room), ".。")
	}
	return strings.TrimRight(text, ".。") + stop + tail
}

// place is the container, the path, what was found and what is needed.
func (b *Bundle) place(v *Violation, zh bool) string {
	found, want := "nothing", show(v.Want)
	words := [2]string{"found ", "needed "}
	comma := ", "
	if zh {
		found, words, comma = "未设置", [2]string{"现为 ", "应为 "}, "，"
	}
	if v.Found != nil {
		found = show(v.Found)
	}
	text := words[0] + found
	if v.Want != nil {
		text += comma + words[1] + want
	}
	where := plain(v.Path)
	if where != "" {
		text = where + ": " + text
	}
	if v.Container == "" {
		return text
	}
	return containerWord(zh) + " " + plain(v.Container) + " (" + text + ")"
}

func containerWord(zh bool) string {
	if zh {
		return "容器"
	}
	return "container"
}

// show renders a value shortly.
func show(v any) string {
	s, ok := v.(string)
	if !ok {
		data, err := json.Marshal(v)
		if err != nil {
			return "?"
		}
		s = string(data)
	}
	return cut(plain(s), 60)
}

func cut(s string, most int) string {
	if r := []rune(s); len(r) > most && most > 1 {
		return string(r[:most-1]) + "…"
	}
	return s
}

// plain keeps foreign text on one line, and in its direction.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
}
