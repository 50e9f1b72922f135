package rule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Subject is the thing that findings are about, which need not be the object in hand: a Pod's problem is its Deployment's.
type Subject struct {
	Cluster string
	Ref     inventory.Ref
	Node    string
	Origin  inventory.Origin
	Ordinal int // which of several objects of the same name in one file
}

// Finding makes the finding of a hit.
func (r *Rule) Finding(s Subject, h Hit) *finding.Finding {
	f := r.finding(s, h.Path, h.Container, h.Item)
	f.Evidence = []finding.Evidence{{Path: h.Path, Found: h.Found, Want: r.Validate.Want}}
	f.Message = r.message(h)
	return f
}

// Problem makes the finding of an analyzer's problem.
func (r *Rule) Problem(s Subject, p analyze.Problem) *finding.Finding {
	s.Ref, s.Origin, s.Node = p.Ref, p.Origin, p.Node
	path := ""
	if len(p.Evidence) > 0 {
		path = p.Evidence[0].Path
	}
	f := r.finding(s, path, p.Container, p.Item)
	f.Evidence = p.Evidence
	f.Message = p.Message
	f.Resource.Owner = p.Owner
	f.Resource.Image = p.Image
	if f.Message.EN == "" {
		f.Message = r.Title
	}
	if p.Severity != "" {
		f.Severity = p.Severity
	}
	return f
}

func (r *Rule) finding(s Subject, path, container, item string) *finding.Finding {
	id := finding.Identity{RuleID: r.ID, Cluster: s.Cluster, Kind: s.Ref.Kind, Group: s.Ref.Group(), Namespace: s.Ref.Namespace,
		Name: s.Ref.Name, Container: container, Node: s.Node, File: s.Origin.File, Ordinal: s.Ordinal, Item: item}
	f := &finding.Finding{
		Fingerprint: id.Fingerprint(), Kind: r.Kind, Rule: r.Name, RuleID: r.ID, Aliases: r.AliasList(),
		Severity: r.Severity, Risk: r.Risk, Title: r.Title, Remediation: r.Fix, References: r.References,
		Compliance: r.Clauses(), Status: finding.Open,
		Resource: finding.Resource{Cluster: s.Cluster, APIVersion: s.Ref.APIVersion, Kind: s.Ref.Kind, Namespace: s.Ref.Namespace,
			Name: s.Ref.Name, Container: container, Node: s.Node, File: s.Origin.File},
	}
	f.Resource.Line = s.Origin.Line
	if s.Origin.Locate != nil {
		f.Resource.Line, f.Resource.Column = s.Origin.Locate(path)
	}
	return f
}

// message says in one line what was found where and what is needed.
func (r *Rule) message(h Hit) finding.Text {
	where, found := h.Path, show(h.Found)
	if h.Setting != "" {
		where = setting(h.Setting)
	}
	var en, zh strings.Builder
	en.WriteString(r.Title.EN + ": ")
	zh.WriteString(r.Title.ZH + "：")
	if m := r.Validate.Message; m != nil {
		en.Reset()
		zh.Reset()
		en.WriteString(m.EN + " (")
		zh.WriteString(m.ZH + "（")
	}
	if h.Container != "" {
		fmt.Fprintf(&en, "container %s: ", h.Container)
		fmt.Fprintf(&zh, "容器 %s：", h.Container)
	}
	if h.Found == nil {
		fmt.Fprintf(&en, "%s is not set", where)
		fmt.Fprintf(&zh, "%s 未设置", where)
	} else {
		fmt.Fprintf(&en, "%s is %s", where, found)
		fmt.Fprintf(&zh, "%s 为 %s", where, found)
	}
	if r.Validate.Want != nil {
		fmt.Fprintf(&en, ", want %s", show(r.Validate.Want))
		fmt.Fprintf(&zh, "，应为 %s", show(r.Validate.Want))
	}
	if r.Validate.Message != nil {
		en.WriteString(")")
		zh.WriteString("）")
	}
	return finding.Text{EN: en.String(), ZH: zh.String()}
}

// setting shows a component setting as its users write it: "--anonymous-auth" or "authentication.anonymous.enabled".
func setting(path string) string {
	if s, ok := strings.CutPrefix(path, "flags."); ok {
		return "--" + s
	}
	if s, ok := strings.CutPrefix(path, "flags['"); ok {
		return "--" + strings.TrimSuffix(s, "']")
	}
	return strings.TrimPrefix(path, "config.")
}

// show renders a value for people: strings as they are, the rest as short JSON.
func show(v any) string {
	const most = 120
	s, ok := v.(string)
	if !ok {
		data, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		s = string(data)
	} else if s == "" {
		s = `""`
	}
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// RunsOn reports whether the rule is for a kind of target: cluster, iac, node or image.
func (r *Rule) RunsOn(target string) bool {
	return len(r.Targets) == 0 || slices.Contains(r.Targets, target)
}
