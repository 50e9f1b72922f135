package urgent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/credential"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/nodes"
)

// Bounds of what an agent reports.
const (
	mostResults = 2000 // as many as a list may have
	mostWord    = 300
	mostSaid    = 600
)

// Reported is the form of nodes.Options.Reported: what an agent saw of emergencies is kept at once.
func (s *Service) Reported(ctx context.Context, n nodes.Subject, r *protocol.Report) {
	if r.Kind != protocol.Verify || len(r.Body) == 0 {
		return
	}
	if err := s.take(ctx, n, r.Body); err != nil { // it is taken again when the node is judged
		s.log.WarnContext(ctx, "what an agent saw of emergencies is not kept yet", "node", n.Name, "error", err)
	}
}

// Findings is the form of nodes.Options.Findings for reports of kind emergency: findings of everything that is known of the node. A
// report may be of some emergencies only.
func (s *Service) Findings(ctx context.Context, n nodes.Subject, kind protocol.WorkKind, body []byte) ([]*finding.Finding, error) {
	if kind != protocol.Verify {
		return nil, nil
	}
	if err := s.take(ctx, n, body); err != nil {
		return nil, err
	}
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	results, _, err := s.kept(ctx, n.Target, Node, n.Name)
	if err != nil {
		return nil, err
	}
	return emergency.Findings(list.All, results, emergency.NodePlace(n.Cluster, n.Name)), nil
}

// take keeps what an agent saw.
func (s *Service) take(ctx context.Context, n nodes.Subject, body []byte) error {
	var results []emergency.Result
	if err := json.Unmarshal(body, &results); err != nil {
		s.log.WarnContext(ctx, "an agent's report of emergencies is not what the protocol says", "node", n.Name)
		return nil // not taken, and nothing that waits for it shall try again
	}
	list, err := s.List()
	if err != nil {
		return err
	}
	l := &look{kind: Node, name: n.Name, shown: n.Name, more: true}
	for i := range results[:min(len(results), mostResults)] {
		r := &results[i]
		e := list.byID[r.Emergency]
		if e == nil || !slices.Contains(e.Where, Kinds[Node]) || slices.Contains(l.ids, e.ID) || rung(r.Verdict) < 0 {
			continue
		}
		l.ids = append(l.ids, e.ID)
		l.results = append(l.results, *own(r, e, n.Name))
	}
	if len(l.ids) == 0 {
		return nil
	}
	slices.Sort(l.ids)
	return s.save(ctx, n.Target, []*look{l})
}

// own makes a result one of the node that the certificate is of, bounds it, and leaves the agent no words but what it saw: texts are
// those of the list. A verdict that its checks do not bear out is unknown.
func own(r *emergency.Result, e *emergency.Emergency, node string) *emergency.Result {
	out := &emergency.Result{Emergency: e.ID, Subject: node, Component: word(r.Component), Path: word(r.Path), Container: word(r.Container), Version: word(r.Version),
		Verdict: r.Verdict, NotRead: said(r.NotRead), NotReadZH: said(r.NotReadZH)}
	out.Note = finding.Text{EN: said(r.Note.EN), ZH: said(r.Note.ZH)}
	for i := range r.Instances[:min(len(r.Instances), emergency.MostInstances)] {
		in := r.Instances[i]
		if rung(in.Verdict) >= 0 {
			out.Instances = append(out.Instances, emergency.Instance{Component: word(in.Component), Path: word(in.Path), Container: word(in.Container), Version: word(in.Version),
				Running: in.Running, Verdict: in.Verdict})
		}
	}
	// In the order of the list, each of its steps once: agents say them in this order too.
	for _, o := range r.Checks[:min(len(r.Checks), 2*(len(e.Preconditions)+len(e.Proofs))+2)] {
		c, ok := check.Find(o.Check)
		if !ok || o.Holds != check.Yes && o.Holds != check.No && o.Holds != check.Unknown {
			continue
		}
		says, ok := saysOf(e, o.Check, o.Proof, o.Says)
		if !ok {
			continue
		}
		out.Checks = append(out.Checks, emergency.Outcome{Check: c.Name, Class: c.Class, Says: says, Holds: o.Holds, Proof: o.Proof, Evidence: said(o.Evidence), Reason: said(o.Reason), SaidZH: said(o.SaidZH)})
	}
	if out.Verdict == emergency.Exposed && !borne(e, out.Checks) {
		out.Verdict = emergency.Unknown
		out.SetUnread(finding.Text{EN: "the agent says exposed, and its checks do not: the agent and the server may have different lists",
			ZH: "代理上报为存在暴露，但其检查结果不足以证实：代理与服务端的漏洞列表可能不一致"})
	}
	return out
}

// saysOf is the text of a step, by the check and, where several steps have it, by the text that the agent gave.
func saysOf(e *emergency.Emergency, name string, proof bool, given finding.Text) (finding.Text, bool) {
	steps := e.Preconditions
	if proof {
		steps = e.Proofs
	}
	at := slices.IndexFunc(steps, func(s emergency.Step) bool { return s.Check == name && s.Says == given })
	if at < 0 {
		at = slices.IndexFunc(steps, func(s emergency.Step) bool { return s.Check == name })
	}
	switch {
	case at >= 0:
		return steps[at].Says, true
	case proof && name == "changelog": // every emergency has that one
		return finding.Text{EN: "the package's changelog names the fix", ZH: "软件包变更日志中记录了该修复"}, true
	}
	return finding.Text{}, false
}

// borne reports whether every precondition for nodes was seen.
func borne(e *emergency.Emergency, checks []emergency.Outcome) bool {
	for _, s := range e.Preconditions {
		if len(s.Where) > 0 && !slices.Contains(s.Where, Kinds[Node]) {
			continue
		}
		if !slices.ContainsFunc(checks, func(o emergency.Outcome) bool {
			return !o.Proof && o.Check == s.Check && o.Says == s.Says && o.Holds == check.Yes
		}) {
			return false
		}
	}
	return true
}

// word bounds a name from a node; said a sentence, without what looks like a credential.
func word(s string) string { return clip(s, mostWord) }

func said(s string) string {
	words := strings.Fields(clip(s, mostSaid))
	if len(words) == 0 {
		return ""
	}
	return strings.Join(credential.Args(append([]string{"env"}, words...))[1:], " ") // the first is the program
}

// clip makes a foreign text fit: one line, without what turns its direction.
func clip(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// why says for a node why its agent cannot be asked.
func why(state nodes.State, name, system string) (finding.Text, finding.Code) {
	switch state {
	case nodes.Unsupported:
		return worded("no agent runs on node %s: its system is %s", "节点 %s 无法运行代理：其操作系统为 %s", name, clip(system, 40)), finding.Unsupported
	case nodes.Never:
		return worded("no agent on node %s: enable it so that it can be looked into", "节点 %s 没有代理：启用代理后才能检查", name), finding.Skipped
	case nodes.Away:
		return worded("the agent on node %s is away", "节点 %s 的代理已离线", name), finding.Unreachable
	}
	return finding.Text{}, ""
}

func worded(en, zh string, a ...any) finding.Text {
	return finding.Text{EN: fmt.Sprintf(en, a...), ZH: fmt.Sprintf(zh, a...)}
}
