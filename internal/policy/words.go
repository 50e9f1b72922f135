package policy

import (
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/finding"
)

// lists reports whether failures of the check have items that stand behind what was found. Those of others are in the message.
func (c Check) lists() bool {
	switch c {
	case Vulnerabilities, Malware, Baseline, Secrets:
		return true
	}
	return false
}

// Says is the failure on one line: what was found, the first of it by name, how much more there is.
func (f *Failure) Says(lang string) string {
	text := f.Message.In(lang)
	items := f.ItemsIn(lang)
	if len(items) == 0 || !f.Kind.lists() {
		return text
	}
	n, size := 0, 0
	for n < len(items) && (n == 0 || size+len(items[n]) <= maxSaid) {
		size += len(items[n])
		n++
	}
	return text + said(lang, ": ", "：") + listed(lang, items[:n], max(f.Count, len(items)))
}

// ItemsIn are the items in a language.
func (f *Failure) ItemsIn(lang string) []string { return itemsIn(lang, f.Items, f.ItemsZH) }

// maxSaid bounds the items of a line, in bytes, but for the first.
const maxSaid = 160

// Text is what Says says, in both languages.
func (f *Failure) Text() finding.Text { return finding.Text{EN: f.Says("en"), ZH: f.Says("zh")} }

// itemsIn are the items in a language.
func itemsIn(lang string, items, zh []string) []string {
	if lang != "zh" {
		return items
	}
	if len(zh) == len(items) {
		return zh
	}
	out := make([]string, len(items))
	for i, s := range items {
		what, fixed := fixedIn(s)
		out[i] = what
		if fixed != "" {
			out[i] += repaired("zh", fixed)
		}
	}
	return out
}

// fixedIn parts an item from the version in which it is fixed; "" is none.
func fixedIn(item string) (what, fixed string) {
	if i := strings.LastIndex(item, " (fixed in "); i >= 0 && strings.HasSuffix(item, ")") {
		return item[:i], item[i+len(" (fixed in ") : len(item)-1]
	}
	if i := strings.LastIndex(item, "（修复版本 "); i >= 0 && strings.HasSuffix(item, "）") {
		return item[:i], item[i+len("（修复版本 ") : len(item)-len("）")]
	}
	return item, ""
}

func repaired(lang, version string) string {
	return said(lang, " (fixed in ", "（修复版本 ") + version + said(lang, ")", "）")
}

// listed joins items and counts those that are not among them.
func listed(lang string, items []string, total int) string {
	text := strings.Join(items, said(lang, ", ", "、"))
	if more := total - len(items); more > 0 {
		text += said(lang, " and ", "等（另有 ") + strconv.Itoa(more) + said(lang, " more", " 项）")
	}
	return text
}

func said(lang, en, zh string) string {
	if lang == "zh" {
		return zh
	}
	return en
}
