package message

import (
	"fmt"
	"strings"

	"stockade.dev/stockade/internal/finding"
)

// NodeGroup is some nodes of which the same is told: claimed, away, degraded or back.
type NodeGroup struct {
	State string
	N     int
	Names []string // the first of them
}

// nodeWords say what became of one node, of several, and of them in Chinese.
var nodeWords = map[string][3]string{
	"claimed":  {"another machine wants to be 1 node", "other machines want to be %d nodes", "%d 个节点有其他机器冒名接入，待确认"},
	"away":     {"the agent of 1 node is away", "the agents of %d nodes are away", "%d 个节点的代理失联"},
	"degraded": {"the agent of 1 node cannot do all its work", "the agents of %d nodes cannot do all their work", "%d 个节点的代理无法完成全部检查"},
	"back":     {"1 node is well again", "%d nodes are well again", "%d 个节点已恢复正常"},
}

// Nodes gives the title and text of what became of the agents of nodes: topic nodes.state.
func Nodes(cluster string, groups []NodeGroup) (title, text finding.Text) {
	var en, zh, names, namesZH []string
	for _, g := range groups {
		w := nodeWords[g.State]
		if g.N == 1 {
			en = append(en, w[0])
		} else {
			en = append(en, fmt.Sprintf(w[1], g.N))
		}
		zh = append(zh, fmt.Sprintf(w[2], g.N))
		if len(g.Names) == 0 {
			continue
		}
		list, listZH := strings.Join(g.Names, ", "), strings.Join(g.Names, "、")
		if more := g.N - len(g.Names); more > 0 {
			list, listZH = list+" "+More(more, "en"), listZH+" "+More(more, "zh")
		}
		names, namesZH = append(names, g.State+": "+list), append(namesZH, fmt.Sprintf(w[2], g.N)+"："+listZH)
	}
	title = finding.Text{EN: strings.Join(en, "; "), ZH: strings.Join(zh, "；")}
	if cluster != "" {
		title = finding.Text{EN: cluster + ": " + title.EN, ZH: cluster + "：" + title.ZH}
	}
	return title, finding.Text{EN: strings.Join(names, "; "), ZH: strings.Join(namesZH, "；")}
}
