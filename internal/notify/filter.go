package notify

import (
	"fmt"
	"slices"
	"strconv"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/notify/message"
	"stockade.dev/stockade/internal/outbox"
)

// Filter says which messages a channel wants: those that meet every field that is set. The zero Filter wants every topic, and of
// findings those that became new or open again.
type Filter struct {
	Topics     []string          `json:"topics,omitempty" enum:"findings.changed,cluster.state,task.finished,exception.asked,exception.decided,exception.expiring,exception.ended,protection.state,protection.drift,protection.blocked,protection.unchecked,protection.turned,policy.changed,nodes.state" doc:"absent for all"`
	Targets    []string          `json:"targets,omitempty" maxItems:"1000" doc:"ids of clusters and projects; what is about none of them is left out"`
	Severities []ledger.Severity `json:"severities,omitempty" doc:"of findings, and of what was blocked or came in unchecked"`
	Kinds      []ledger.Kind     `json:"kinds,omitempty" doc:"of findings"`
	Namespaces []string          `json:"namespaces,omitempty" maxItems:"1000" doc:"of findings and of what was blocked or came in unchecked; of images the namespaces that run them"`
	Statuses   []ledger.Status   `json:"statuses,omitempty" doc:"that findings have now; absent for open and reopened"`
	New        bool              `json:"new,omitempty" doc:"only findings that are seen for the first time"`
	KEV        bool              `json:"kev,omitempty" doc:"only vulnerabilities that are known to be exploited"`
}

const maxFilterList = 1000

func (f *Filter) check() error {
	for _, t := range f.Topics {
		if !slices.Contains(Topics, t) {
			return fmt.Errorf("topic %q: want one of %v", message.Cut(message.Line(t), 50), Topics)
		}
	}
	if _, err := ids(f.Targets); err != nil {
		return fmt.Errorf("targets: %w", err)
	}
	if len(f.Targets) > maxFilterList || len(f.Namespaces) > maxFilterList || len(f.Topics)+len(f.Severities)+len(f.Kinds)+len(f.Statuses) > maxFilterList {
		return fmt.Errorf("a list has more than %d entries", maxFilterList)
	}
	for _, n := range f.Namespaces {
		if n == "" || len(n) > 253 || message.Line(n) != n {
			return fmt.Errorf("namespace %q", message.Cut(message.Line(n), 50))
		}
	}
	return nil
}

// wants reports whether messages of a topic about a target are wanted at all.
func (f *Filter) wants(topic string, target int64) bool {
	return (len(f.Topics) == 0 || slices.Contains(f.Topics, topic)) &&
		(len(f.Targets) == 0 || target != 0 && slices.Contains(f.Targets, strconv.FormatInt(target, 10)))
}

// statuses are those that findings must have now.
func (f *Filter) statuses() []ledger.Status {
	if len(f.Statuses) == 0 {
		return []ledger.Status{ledger.StatusOpen, ledger.StatusReopened}
	}
	return f.Statuses
}

// severityOf says how bad an event of another topic is.
func severityOf(topic string, details map[string]string) finding.Severity {
	switch {
	case topic == outbox.ClusterState && details["state"] != "connected" && details["state"] != "ready":
		return finding.High
	case topic == outbox.ProtectionState && (details["state"] == "error" || details["state"] == "remove-failed"),
		topic == outbox.ProtectionDrift:
		return finding.High
	case topic == outbox.ProtectionState && details["state"] == "policy-failed":
		return finding.Medium
	case topic == outbox.TaskFinished && (details["failed"] != "" && details["failed"] != "0" || details["status"] == "failed"):
		return finding.Medium
	case topic == outbox.ExceptionAsked, topic == outbox.ExceptionExpiring, topic == outbox.ExceptionEnded:
		return finding.Low
	}
	return finding.Info
}
