package repair

import (
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// Steps are what a person does about a finding when nothing can be changed for them: the rule's advice, and for a vulnerability the
// way to the fixed version.
func Steps(f *finding.Finding) []finding.Text {
	var out []finding.Text
	if f.Remediation.EN != "" {
		out = append(out, f.Remediation)
	}
	if f.Kind == finding.Permission {
		out = append(out, finding.Text{EN: "See who uses the permission before you take it away: the audit log of the API server names every request with its user.",
			ZH: "收回权限前先确认谁在使用：API server 的审计日志记录了每个请求及其用户。"})
	}
	return out
}

// notes are what to check before a change is applied.
func notes(r *rule.Rule, edits []rule.Edit) []finding.Text {
	if r.Repair != nil && r.Repair.Note != nil {
		return []finding.Text{*r.Repair.Note}
	}
	v := r.Validate
	switch {
	case v.Each == "spec.volumes":
		return []finding.Text{{EN: "The volume and its mounts are taken out: make sure that no container needs what it read there, or give it another way, such as a ConfigMap, a claim or an API.",
			ZH: "该修改会移除此卷及其挂载：请确认容器不再需要其中的内容，或改用 ConfigMap、PVC 或 API 等方式提供。"}}
	case strings.HasSuffix(v.Each, "capabilities.add"):
		return []finding.Text{{EN: "Try the program without the capability first: what it does with it will fail.",
			ZH: "请先验证程序在没有该 capability 时能否正常工作：依赖它的操作会失败。"}}
	case slices.ContainsFunc(edits, func(e rule.Edit) bool { return len(e.Set) > 0 }) && strings.Contains(v.Path, "capabilities.drop"):
		return []finding.Text{{EN: "If the program then lacks a capability, add back only that one under capabilities.add.",
			ZH: "如果程序因此缺少某个 capability，只在 capabilities.add 中加回该项。"}}
	}
	return nil
}

// uncovered names the lesser findings that a change brings to light.
func (b *bench) uncovered(rules []string) []finding.Text {
	var out []finding.Text
	for _, name := range rules {
		if r := b.library.Find(name); r != nil {
			out = append(out, finding.Text{EN: fmt.Sprintf("After the change a lesser finding (%s) is reported: %s.", r.Severity, r.Title.EN),
				ZH: fmt.Sprintf("修改后会出现一个级别更低的风险项（%s）：%s。", severityZH[r.Severity], r.Title.ZH)})
		}
	}
	return out
}

var severityZH = map[finding.Severity]string{finding.Critical: "严重", finding.High: "高危", finding.Medium: "中危", finding.Low: "低危", finding.Info: "提示"}

// manager says which program would undo a change of the object.
func manager(o *inventory.Object) []finding.Text {
	say := func(who, whoZH string) []finding.Text {
		return []finding.Text{{EN: "The object is managed by " + who + ": make the same change there, or it will be undone.", ZH: "该对象由" + whoZH + "管理：请在其中作同样的修改，否则会被还原。"}}
	}
	a, l := o.Annotations(), o.Labels()
	switch {
	case a["meta.helm.sh/release-name"] != "":
		name := short(a["meta.helm.sh/release-name"], 100)
		return say("the Helm release "+name, " Helm release "+name+" ")
	case a["argocd.argoproj.io/tracking-id"] != "" || l["argocd.argoproj.io/instance"] != "":
		return say("Argo CD", " Argo CD ")
	case l["kustomize.toolkit.fluxcd.io/name"] != "" || l["helm.toolkit.fluxcd.io/name"] != "":
		return say("Flux", " Flux ")
	}
	for _, v := range inventory.List(o.Content, "metadata", "ownerReferences") {
		owner, _ := v.(map[string]any)
		if inventory.Bool(owner, false, "controller") {
			who := short(inventory.Str(owner, "kind")+" "+inventory.Str(owner, "name"), 200)
			return say(who, " "+who+" ")
		}
	}
	return nil
}
