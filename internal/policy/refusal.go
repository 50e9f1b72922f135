package policy

import (
	"cmp"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/finding"
)

// Lengths of refusals, in characters: kubectl shows all of them in one.
const (
	maxRefusal = export.MaxRefusal
	mostListed = 2  // items
	usersRoom  = 36 // for which containers run an image: the template in the cluster says it
	maxName    = 40 // of a policy
)

// ShortName is the name of a policy as refusals have it, whichever engine writes them: on one line, without its middle where it is long.
// The whole name stands behind the link.
func ShortName(name string) string { return middle(strings.TrimSpace(plain(name)), maxName) }

// line is a refusal in parts. When it is too long its parts give way in the order in which they are least missed; the rule, ids of
// vulnerabilities, the versions that fix them, the policy and the link never do. So a line is as long as it may be at most while the
// address of the console has no more than some 40 characters.
type line struct {
	lang            string
	id, title, tail string
	place           string   // of rules: the container
	path            string   // of rules, in the object
	found, want     string   // of rules
	image           string   // of image checks
	lead            string   // of image checks: what was found, what is needed
	items           []string // of it, the worst first
	count           int      // of items, with those that are not listed
	fix             string
	ids             bool // items begin with the id of a vulnerability
}

// Refusal is a violation as kubectl shows it, in the bundle's language: the rule, the container, the place, what was found, what is
// needed, how to repair it, and where the full story stands.
func (b *Bundle) Refusal(v *Violation) string {
	l := b.line(v)
	if v.Image == "" || v.RuleID != "" {
		return l.within(maxRefusal, ofRules)
	}
	return l.within(maxRefusal, ofImages)
}

// ImageRefusal is what the provider says of an image: shorter than Refusal, since the template adds which containers run it.
func (b *Bundle) ImageRefusal(v *Violation) string {
	return b.line(v).within(maxRefusal-usersRoom, ofImages)
}

// NoVerdict is what the provider says of an image that a policy, of this name, has no verdict on.
func (b *Bundle) NoVerdict(name string, u *Undecided) string {
	v := Violation{Policy: u.Policy, Name: name, Rule: "image/unanswered", Image: u.Image, Title: finding.Text{EN: "No verdict", ZH: "尚无判定结果"},
		Fix: finding.Text{EN: "It is asked for: try again in a moment.", ZH: "已提交扫描，请稍后重试。"}}
	l := b.line(&v)
	l.lead = cut(plain(ReasonIn(b.Lang, u.Reason)), 100)
	return l.within(maxRefusal-usersRoom, ofImages)
}

func (b *Bundle) line(v *Violation) *line {
	id := cmp.Or(v.RuleID, v.Rule)
	lang := b.Lang
	trim := func(s string) string { return strings.TrimRight(plain(s), ".。 ") }
	l := &line{lang: lang, id: plain(id), title: trim(v.Title.In(lang)), fix: trim(v.Fix.In(lang)), tail: b.tail(v, id)}
	switch {
	case v.RuleID != "":
		if v.Container != "" {
			l.place = said(lang, "container ", "容器 ") + plain(v.Container)
		}
		l.path, l.found, l.want = plain(v.Path), said(lang, "nothing", "未设置"), ""
		if v.Found != nil {
			l.found = show(v.Found)
		}
		if v.Want != nil {
			l.want = show(v.Want)
		}
	case v.lead.EN != "":
		l.image, l.lead = plain(v.Image), trim(v.lead.In(lang))
		check := Check(strings.TrimPrefix(v.Rule, "image/"))
		if check.lists() {
			items := itemsIn(lang, v.Items, v.itemsZH)
			for _, s := range items[:min(len(items), mostListed)] {
				l.items = append(l.items, plain(s))
			}
		}
		l.count, l.ids = max(v.count, len(v.Items)), check == Vulnerabilities
		if v.Container != "" {
			l.place = said(lang, "container ", "容器 ") + plain(v.Container)
		}
	case v.Image != "" && v.Message.EN == "":
		l.image = plain(v.Image)
	default: // of users' templates, and of what was recorded: the message has all of it
		l.title, l.lead = "", trim(v.Message.In(lang))
		if v.Container != "" {
			l.place = said(lang, "container ", "容器 ") + plain(v.Container)
		}
	}
	return l
}

// tail is whose refusal it is, and where its story stands and an exception can be asked for.
func (b *Bundle) tail(v *Violation, id string) string {
	tail := said(b.Lang, `Policy "`+ShortName(v.Name)+`"`, "策略“"+ShortName(v.Name)+"”")
	if b.Console == "" {
		return tail
	}
	return tail + export.More(b.Lang) + strings.TrimRight(b.Console, "/") + "/protection/why?policy=" + strconv.FormatInt(v.Policy, 10) + "&rule=" + strings.ReplaceAll(url.QueryEscape(id), "%2F", "/")
}

// step makes a line shorter.
type step func(*line)

// ofRules is how lines of rules become shorter.
var ofRules = []step{
	func(l *line) { l.fix = firstSentence(l.fix) },
	func(l *line) { l.path = middle(l.path, 40) },
	func(l *line) { l.title = cut(l.title, 60) },
	func(l *line) { l.found, l.want = cut(l.found, 30), cut(l.want, 30) },
	func(l *line) { l.fix = cut(l.fix, 70) },
	func(l *line) { l.place, l.lead = middle(l.place, 40), cut(l.lead, 120) },
	func(l *line) { l.path = middle(l.path, 24) },
	func(l *line) { l.fix = "" },
	func(l *line) { l.title, l.lead = cut(l.title, 40), cut(l.lead, 80) },
	func(l *line) { l.path, l.found, l.want = middle(l.path, 16), cut(l.found, 16), cut(l.want, 16) },
	func(l *line) { l.title, l.lead = cut(l.title, 20), cut(l.lead, 40) },
	func(l *line) { l.place, l.want = middle(l.place, 24), "" },
}

// ofImages is how lines of image checks become shorter.
var ofImages = []step{
	func(l *line) { l.image = shortDigest(l.image) },
	func(l *line) { l.image = shortImage(l.image, 64) },
	func(l *line) {
		if l.repairs() { // the items say it
			l.fix = ""
		}
		l.fix = firstSentence(l.fix)
	},
	func(l *line) { l.title = "" },
	func(l *line) { l.items = l.items[:min(1, len(l.items))] },
	func(l *line) { l.fix, l.lead = cut(l.fix, 80), cut(l.lead, 120) },
	func(l *line) {
		for i := range l.items {
			l.items[i] = l.shortItem(l.items[i], 90)
		}
	},
	func(l *line) { l.image = shortImage(l.image, 40) },
	func(l *line) { l.place = middle(l.place, 40) },
	func(l *line) { l.fix = "" },
	func(l *line) { l.lead = cut(l.lead, 60) },
	func(l *line) { l.lead = cut(l.lead, 40) },
	func(l *line) {
		if len(l.items) > 0 {
			l.lead = ""
		}
	},
	func(l *line) { l.image = shortImage(l.image, 24) },
	func(l *line) {
		for i := range l.items {
			l.items[i] = l.shortItem(l.items[i], 0)
		}
	},
	func(l *line) { l.count = len(l.items) },
	func(l *line) { l.image, l.place = shortImage(l.image, 16), middle(l.place, 24) },
}

// within is the line with at most so many characters, or as short as it can be.
func (l *line) within(most int, steps []step) string {
	text := l.append(make([]byte, 0, 2*maxRefusal))
	for _, s := range steps {
		if utf8.RuneCount(text) <= most {
			break
		}
		s(l)
		text = l.append(text[:0])
	}
	return string(text)
}

// repairs reports whether an item that is shown says how to be rid of it.
func (l *line) repairs() bool {
	for _, s := range l.items {
		if _, fixed := fixedIn(s); fixed != "" {
			return true
		}
	}
	return false
}

// append writes the line: [id] title: container web (path: found x, needed y). Fix. Policy "shop"; more.
func (l *line) append(out []byte) []byte {
	colon, stop := said(l.lang, ": ", "："), said(l.lang, ". ", "。")
	out = append(append(append(out, '['), l.id...), "] "...)
	begin := len(out)
	put := func(s string) {
		if s != "" && len(out) > begin {
			out = append(out, colon...)
		}
		out = append(out, s...)
	}
	put(l.title)
	switch {
	case l.found != "":
		what := said(l.lang, "found ", "现为 ") + l.found
		if l.want != "" {
			what += said(l.lang, ", needed ", "，应为 ") + l.want
		}
		if l.path != "" {
			what = l.path + colon + what
		}
		if l.place != "" {
			what = l.place + " (" + what + ")"
		}
		put(what)
	default:
		put(l.place)
		put(l.image)
		put(l.lead)
		if len(l.items) > 0 {
			put(listed(l.lang, l.items, l.count))
		}
	}
	out = append(out, stop...)
	if l.fix != "" {
		out = append(append(out, strings.TrimRight(l.fix, ".。 ")...), stop...)
	}
	return append(out, l.tail...)
}

// shortItem shortens an item to a length but for the id of a vulnerability and the version that fixes it.
func (l *line) shortItem(item string, most int) string {
	if !l.ids {
		return cut(item, max(most, 40))
	}
	what, fixed := fixedIn(item)
	id, pkg, _ := strings.Cut(what, " ")
	tail := ""
	if fixed != "" {
		tail = repaired(l.lang, fixed)
	}
	if room := most - utf8.RuneCountInString(id+tail) - 1; pkg != "" && room >= 8 {
		return id + " " + middle(pkg, room) + tail
	}
	return id + tail
}

// shortDigest is the name of an image with the beginning of its digest.
func shortDigest(image string) string {
	name, digest, ok := strings.Cut(image, "@")
	algorithm, sum, _ := strings.Cut(digest, ":")
	if !ok || len(sum) <= 13 {
		return image
	}
	return name + "@" + algorithm + ":" + cut(sum, 13)
}

// shortImage shortens the name of an image: of its digest the end goes first, then the registry and what is between it and the last part.
func shortImage(image string, most int) string {
	image = shortDigest(image)
	if utf8.RuneCountInString(image) <= most {
		return image
	}
	first, rest, ok := strings.Cut(image, "/")
	if ok {
		last := rest[strings.LastIndexByte(rest, '/')+1:]
		for _, s := range []string{first + "/…/" + last, "…/" + last} {
			if utf8.RuneCountInString(s) <= most {
				return s
			}
		}
		image = "…/" + last
	}
	return middle(image, most)
}

// firstSentence is the first sentence of a text.
func firstSentence(s string) string {
	for i, c := range s {
		if c == '。' || c == '；' || c == '.' && i+1 < len(s) && s[i+1] == ' ' {
			return s[:i]
		}
	}
	return s
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

// cut keeps the beginning of a text.
func cut(s string, most int) string {
	if r := []rune(s); len(r) > most && most > 1 {
		return string(r[:most-1]) + "…"
	}
	return s
}

// middle keeps the beginning and the end of a text, more of the end.
func middle(s string, most int) string {
	r := []rune(s)
	if len(r) <= most || most < 3 {
		return s
	}
	front := (most - 1) / 3
	return string(r[:front]) + "…" + string(r[len(r)-(most-1-front):])
}

// plain keeps foreign text on one line, and in its direction.
func plain(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
}
