//go:build linux

package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/inventory"
)

// Codes of what was not looked at, as in inventory.SkipFact.
const (
	leftOut     = "skipped"
	unreachable = "unreachable"
)

// Bounds of what beats say of needs: facts list all that was not looked at.
const (
	mostNeeds   = 5   // of one prerequisite, of one look
	longestNeed = 200 // bytes of a text
)

// lacking picks, of what a look left out, what stands for something that the agent itself lacks.
func lacking(skipped []inventory.SkipFact) []inventory.SkipFact {
	out, count := []inventory.SkipFact{}, map[inventory.Lack]int{}
	for _, s := range skipped {
		if s.Lacks == "" || count[s.Lacks] >= mostNeeds {
			continue
		}
		count[s.Lacks]++
		for _, text := range []*string{&s.Check, &s.Needs, &s.Reason} {
			if len(*text) > longestNeed {
				*text = strings.ToValidUTF8((*text)[:longestNeed], "") + "…"
			}
		}
		out = append(out, s)
	}
	return out
}

func needsFile(kind protocol.WorkKind) string { return "needs-" + string(kind) + ".json" }

// keepNeeds leaves what a look lacked in the agent's folder. It stays until the next look, also over a start of the agent.
func (r *Round) keepNeeds(skipped []inventory.SkipFact) error {
	if len(r.Names) > 0 {
		return nil // a look at something says nothing of the rest
	}
	data, err := json.Marshal(lacking(skipped))
	if err != nil {
		return err
	}
	return writeFile(filepath.Dir(r.Out), needsFile(r.Kind), data)
}

// keptNeeds is what the last look of a kind lacked.
func keptNeeds(state string, kind protocol.WorkKind) (out []inventory.SkipFact) {
	data, err := os.ReadFile(filepath.Join(state, needsFile(kind)))
	if err != nil || json.Unmarshal(data, &out) != nil {
		return nil // no look yet: the first one is due at once
	}
	return out
}

// needWords are the prerequisites, as the reason of a degraded node names them.
var needWords = map[inventory.Lack]string{inventory.LacksFiles: "files of the node", inventory.LacksProc: "processes of the node", inventory.LacksRuntime: "the container runtime",
	inventory.LacksNetwork: "ports of the node"}

// degrading says what the needs keep the agent from; "" when it does all that it was installed for. A pod without the node's network
// is how the manifest installs it: that is told, and is nothing to put right.
func degrading(needs []inventory.SkipFact) string {
	var words []string
	for _, l := range inventory.Lacks {
		for _, n := range needs {
			if n.Lacks == l && (l != inventory.LacksNetwork || n.Code != leftOut) {
				words = append(words, needWords[l])
				break
			}
		}
	}
	if words == nil {
		return ""
	}
	return "checks cannot reach " + strings.Join(words, ", ")
}

// comesBack reports whether needs may be met without somebody doing something about the agent, so that a look soon is worth it.
func comesBack(needs []inventory.SkipFact) bool {
	for _, n := range needs {
		if n.Code == unreachable {
			return true
		}
	}
	return false
}

// Unasked lists what could not be verified because a port of the node could not be asked. own says that the agent is on the node's
// network; allowed are the classes of checks that were to be done.
func Unasked(results []emergency.Result, allowed []emergency.Class, own bool) (out []inventory.SkipFact) {
	if !slices.Contains(allowed, emergency.Request) {
		return nil
	}
	for i := range results {
		for _, o := range results[i].Checks {
			if o.Class != emergency.Request || o.Holds != "unknown" {
				continue
			}
			s := inventory.SkipFact{Check: "emergency/" + results[i].Emergency, Needs: "the node's network", Reason: o.Reason, Code: unreachable, Lacks: inventory.LacksNetwork}
			if !own {
				s.Reason, s.Code = "the agent's pod has a network of its own", leftOut
			}
			out = append(out, s)
			break
		}
	}
	return out
}
