package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
)

// Limits of what a failure tells.
const (
	maxItems = 5   // of Failure.Items
	maxLine  = 160 // bytes of a list in a text
)

var severityZH = map[finding.Severity]string{finding.Critical: "严重", finding.High: "高危", finding.Medium: "中危", finding.Low: "低危", finding.Info: "提示"}

// plural is a count with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// some joins the first texts that fit on the line, and counts the rest.
func some(list []string, total int, comma, more string) string {
	var b strings.Builder
	n := 0
	for _, s := range list {
		if n > 0 && b.Len()+len(comma)+len(s) > maxLine {
			break
		}
		if n > 0 {
			b.WriteString(comma)
		}
		b.WriteString(s)
		n++
	}
	if total > n {
		fmt.Fprintf(&b, more, total-n)
	}
	return b.String()
}

const (
	moreEN = " and %d more"
	moreZH = " 等（另有 %d 项）"
)

func vulnerable(c *policy.ImageCheck, found []*Vulnerability) *policy.Failure {
	f := &policy.Failure{Count: len(found), Worst: string(found[0].Severity)}
	for _, v := range found[:min(len(found), maxItems)] {
		item := clip(v.ID+" "+v.Package+" "+v.Version, 100)
		if v.Fixed != "" {
			item += " (fixed in " + clip(v.Fixed, 60) + ")"
		}
		f.Items = append(f.Items, item)
	}
	whatEN, whatZH := conditions(c)
	f.Message = finding.Text{EN: plural(len(found), "vulnerability", "vulnerabilities") + whatEN, ZH: fmt.Sprintf("%d 个%s漏洞", len(found), whatZH)}
	f.Fix = upgrades(found)
	f.Pardons = pardons(len(found), func(i int) []int64 { return found[i].Excuses })
	return f
}

// maxPardons bounds the sets of exceptions of a failure.
const maxPardons = 50

// pardons are the sets of exceptions that must hold together for all of n findings to be accepted; none when one of these has no
// exception at all.
func pardons(n int, of func(int) []int64) (out [][]int64) {
	for i := range n {
		set := of(i)
		if len(set) == 0 {
			return nil
		}
		if !slices.ContainsFunc(out, func(o []int64) bool { return slices.Equal(o, set) }) {
			if len(out) == maxPardons {
				return nil
			}
			out = append(out, set)
		}
	}
	return out
}

// conditions says in words what a check looks for.
func conditions(c *policy.ImageCheck) (en, zh string) {
	if len(c.CVEs) > 0 && c.Severity == "" && !c.Fixable && !c.Exploited && c.EPSS == 0 && c.OlderThan == 0 {
		return " that the policy lists", "策略所列的"
	}
	sev := cmp.Or(c.Severity, finding.High)
	en, zh = " of severity "+string(sev), severityZH[sev]
	if sev != finding.Critical {
		en, zh = en+" or worse", zh+"及以上的"
	}
	var list, listZH []string
	if c.Fixable {
		list, listZH = append(list, "with a fix"), append(listZH, "可修复")
	}
	if c.Exploited {
		list, listZH = append(list, "known to be exploited"), append(listZH, "已知被利用")
	}
	if c.EPSS > 0 {
		list, listZH = append(list, fmt.Sprintf("EPSS %.3g or more", c.EPSS)), append(listZH, fmt.Sprintf("EPSS 不低于 %.3g", c.EPSS))
	}
	if c.OlderThan > 0 {
		list, listZH = append(list, fmt.Sprintf("published over %d days ago", c.OlderThan)), append(listZH, fmt.Sprintf("公布超过 %d 天", c.OlderThan))
	}
	if len(list) > 0 {
		en, zh = en+", "+strings.Join(list, ", "), strings.Join(listZH, "、")+"的"+zh
	}
	if len(c.CVEs) > 0 {
		en, zh = en+", or listed", zh+"或策略所列的"
	}
	return en, zh
}

// upgrades says which newer packages clear most of what was found.
func upgrades(found []*Vulnerability) finding.Text {
	type upgrade struct {
		of *Vulnerability // the worst
		n  int
	}
	var list []*upgrade
	at := map[string]*upgrade{}
	fixable := 0
	for _, v := range found {
		if v.Fixed == "" {
			continue
		}
		fixable++
		u := at[v.Package]
		if u == nil {
			u = &upgrade{of: v}
			at[v.Package] = u
			list = append(list, u)
		}
		u.n++
	}
	if fixable == 0 {
		return finding.Text{EN: "No fixed version is known: remove the package, or ask for an exception.", ZH: "尚无修复版本：请移除该软件包，或申请例外。"}
	}
	slices.SortStableFunc(list, func(a, b *upgrade) int { return b.n - a.n })
	const few = 3
	var texts []string
	for _, u := range list[:min(few, len(list))] {
		texts = append(texts, clip(u.of.Package, 60)+" "+clip(u.of.Fixed, 60))
	}
	return finding.Text{EN: "Build the image again with " + some(texts, len(list), ", ", moreEN) + " or later.",
		ZH: "请使用以下或更高版本重新构建镜像：" + some(texts, len(list), "、", moreZH) + "。"}
}

// kindsOfHits are the words for what a check finds.
var kindsOfHits = map[policy.Check]struct {
	one, many, zh string
	fix           finding.Text
}{
	policy.Malware: {"malicious file", "malicious files", "个恶意文件", finding.Text{EN: "Do not run this image: find out how the file came in and build it anew from sources that you trust.",
		ZH: "请勿运行该镜像：查明恶意文件来源，并用可信来源重新构建。"}},
	policy.Secrets: {"secret", "secrets", "个敏感信息", finding.Text{EN: "Revoke the secret, build the image without it, and give it to the container at run time.",
		ZH: "请吊销该凭据，重新构建不含它的镜像，并在运行时再提供给容器。"}},
	policy.Baseline: {"unsafe setting", "unsafe settings", "项不安全的镜像配置", finding.Text{EN: "Correct the Dockerfile or the files named, and build the image again.",
		ZH: "请修正 Dockerfile 或所列文件后重新构建镜像。"}},
}

// hits tells what rules found; nil when that is nothing.
func hits(c *policy.ImageCheck, found []*Hit) *policy.Failure {
	if len(found) == 0 {
		return nil
	}
	w := kindsOfHits[c.Check]
	f := &policy.Failure{Count: len(found), Worst: string(found[0].Severity), Fix: w.fix}
	for _, h := range found[:min(len(found), maxItems)] {
		where := clip(h.File, 80)
		if where != "" && h.Line > 0 {
			where = fmt.Sprintf("%s:%d", where, h.Line)
		}
		en, cn := h.Title.EN, h.Title.In("zh")
		if h.Found != "" && c.Check != policy.Secrets {
			en, cn = en+" ("+clip(h.Found, 60)+")", cn+"（"+clip(h.Found, 60)+"）"
		}
		if where != "" {
			en, cn = en+": "+where, cn+"："+where
		}
		f.Items, f.ItemsZH = append(f.Items, en), append(f.ItemsZH, cn)
	}
	f.Pardons = pardons(len(found), func(i int) []int64 { return found[i].Excuses })
	f.Message = finding.Text{EN: plural(len(found), w.one, w.many), ZH: fmt.Sprintf("%d %s", len(found), w.zh)}
	return f
}

// named says how an image is named well.
func named(c *policy.ImageCheck, img *Image) finding.Text {
	if c.Check == policy.Registry {
		if len(c.Allow) == 0 {
			return finding.Text{EN: "The policy allows no place at all: correct it.", ZH: "该策略未允许任何来源，请修正策略。"}
		}
		list := make([]string, len(c.Allow))
		for i, a := range c.Allow {
			list[i] = clip(a, 100)
		}
		return finding.Text{EN: "Use an image from " + some(list[:min(3, len(list))], len(list), ", ", moreEN) + ".",
			ZH: "请使用来自以下位置的镜像：" + some(list[:min(3, len(list))], len(list), "、", moreZH) + "。"}
	}
	if img.Digest == "" {
		return finding.Text{EN: "Append the digest: @sha256:...", ZH: "请追加摘要：@sha256:..."}
	}
	name := clip(img.Reference.Name(), 100) + "@" + img.Digest
	return finding.Text{EN: "Use " + name + ".", ZH: "请使用 " + name + "。"}
}

func neverScanned() *policy.Failure {
	return &policy.Failure{Message: finding.Text{EN: "not scanned: there is no result for this image yet", ZH: "未扫描：该镜像尚无扫描结果"},
		Fix: finding.Text{EN: "Try again when the scan has ended, or scan it in the pipeline: stockade scan image.", ZH: "请待扫描完成后重试，或在流水线中先行扫描：stockade scan image。"}}
}

func scannedLongAgo(at time.Time, most int) *policy.Failure {
	day := at.UTC().Format(time.DateOnly)
	return &policy.Failure{Count: 1, Message: finding.Text{EN: fmt.Sprintf("the scan result is of %s, allowed: %d days", day, most),
		ZH: fmt.Sprintf("扫描结果日期为 %s，最多允许 %d 天", day, most)},
		Fix: finding.Text{EN: "Scan the image again.", ZH: "请重新扫描该镜像。"}}
}

func unsigned(keys []policy.Key, why string) *policy.Failure {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = cmp.Or(clip(k.Name, 60), fmt.Sprintf("key %d", i+1))
	}
	f := &policy.Failure{Message: finding.Text{EN: "not signed by " + some(names, len(names), " or ", moreEN), ZH: "没有 " + some(names, len(names), "、", moreZH) + " 的签名"},
		Fix: finding.Text{EN: "Sign the image by its digest with one of these keys: cosign sign --key ...", ZH: "请使用上述密钥之一按摘要对镜像签名：cosign sign --key ..."}}
	if why != "" {
		en, zh := clip(why, 120), clip(policy.ReasonIn("zh", why), 120)
		f.Items, f.ItemsZH = []string{en}, []string{zh}
		f.Message.EN, f.Message.ZH = f.Message.EN+" ("+en+")", f.Message.ZH+"（"+zh+"）"
	}
	return f
}
