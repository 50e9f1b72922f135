package nodes

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/credential"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Limits of facts beyond those of inventory/host.go: what is more is cut, and told.
const (
	maxList   = 5000 // of any list
	maxArgs   = 200
	maxFactIn = 4096 // bytes of an argument
	maxDepth  = 32
)

// hidden stands for what was taken out.
const hidden = "****"

// Summary is what lists show of facts.
type Summary struct {
	OS           string   `json:"os,omitempty"`
	Kernel       string   `json:"kernel,omitempty"`
	Architecture string   `json:"architecture,omitempty"`
	Roles        []string `json:"roles,omitempty"`
	Distribution string   `json:"distribution,omitempty" doc:"of Kubernetes"`
	Runtime      string   `json:"runtime,omitempty"`
	Kubelet      string   `json:"kubelet,omitempty"`
	Containers   int      `json:"containers"`
	Drifted      int      `json:"drifted,omitempty" doc:"containers with executables that their image does not have"`
	Skipped      int      `json:"skipped,omitempty" doc:"checks that could not look"`
}

func summarize(f *inventory.NodeFacts) string {
	s := Summary{OS: clip(f.OS.Name, 120), Kernel: clip(f.OS.Kernel, 120), Architecture: clip(f.OS.Arch, 40), Distribution: clip(f.Distribution, 60),
		Runtime: clip(strings.TrimSpace(f.Runtime.Name+" "+f.Runtime.Version), 80), Containers: len(f.Containers), Skipped: len(f.Skipped)}
	for _, r := range f.Roles[:min(len(f.Roles), 10)] {
		s.Roles = append(s.Roles, clip(r, 40))
	}
	for i := range f.Binaries {
		if b := &f.Binaries[i]; b.Component == inventory.Kubelet && b.Version != "" && b.Container == "" && (s.Kubelet == "" || b.Running) {
			s.Kubelet = clip(b.Version, 60)
		}
	}
	for i := range f.Containers {
		if len(f.Containers[i].Drift) > 0 {
			s.Drifted++
		}
	}
	data, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	return string(data)
}

// own makes facts those of the node that the certificate is of, bounds them, and hides what looks like a credential: agents do that
// too, and not every agent is one.
func own(f *inventory.NodeFacts, name string, at time.Time) {
	f.APIVersion, f.Kind, f.Name = "stockade.dev/v1", "NodeFacts", name
	f.ReadAt = at.UTC().Format(time.RFC3339)
	f.Malware = nil // that is reported by itself
	f.Files, f.Processes, f.Certs, f.Listening = cut(f, "files", f.Files, maxList), cut(f, "processes", f.Processes, maxList), cut(f, "certificates", f.Certs, maxList), cut(f, "listening", f.Listening, maxList)
	f.Services, f.Mounts, f.Tools = cut(f, "services", f.Services, maxList), cut(f, "mounts", f.Mounts, maxList), cut(f, "tools", f.Tools, maxList)
	f.Binaries = cut(f, "binaries", f.Binaries, inventory.MaxNodeBinaries)
	f.Containers = cut(f, "containers", f.Containers, inventory.MaxNodeContainers)
	for i := range f.Processes {
		f.Processes[i].Args = hide(f.Processes[i].Args)
	}
	for i := range f.Containers {
		c := &f.Containers[i]
		c.Processes, c.Drift, c.Mounts = cut(f, "processes of containers", c.Processes, inventory.MaxNodeProcesses), cut(f, "drift", c.Drift, inventory.MaxDrift), cut(f, "mounts of containers", c.Mounts, maxList)
		for j := range c.Processes {
			c.Processes[j].Args = hide(c.Processes[j].Args)
		}
	}
	for _, s := range []*inventory.Settings{f.Kubelet, f.KubeProxy} {
		if s == nil {
			continue
		}
		for k, v := range s.Flags {
			if _, _, leak := credential.InText(k, v); leak {
				s.Flags[k] = hidden
			}
		}
		s.Config, _ = hideIn("", s.Config, 0).(map[string]any)
	}
	f.AuditPolicy, _ = hideIn("", f.AuditPolicy, 0).(map[string]any)
	if f.Kernel != nil {
		f.Kernel.Cmdline = strings.Join(hideAll(strings.Fields(f.Kernel.Cmdline[:min(len(f.Kernel.Cmdline), maxFactIn)])), " ")
	}
	for i := range f.Services {
		for k, v := range f.Services[i].Properties {
			if _, _, leak := credential.InText(k, v); leak {
				f.Services[i].Properties[k] = hidden
			}
		}
	}
	if len(f.Skipped) > maxNeeds*2 {
		f.Skipped = f.Skipped[:maxNeeds*2]
	}
	for i := range f.Skipped {
		k := &f.Skipped[i]
		k.Check, k.Needs, k.Reason = clip(k.Check, 200), clip(k.Needs, 300), clip(k.Reason, 500)
		protocolWords(k)
	}
}

// protocolWords replaces words of an agent that are none of the protocol's.
func protocolWords(k *inventory.SkipFact) {
	switch finding.Code(k.Code) {
	case finding.Forbidden, finding.Unreachable, finding.Limit, finding.Unsupported, finding.Broken, finding.Skipped:
	default:
		k.Code = string(finding.Skipped)
	}
	if !slices.Contains(inventory.Lacks, k.Lacks) {
		k.Lacks = ""
	}
}

// cut bounds a list and tells that it did.
func cut[T any](f *inventory.NodeFacts, what string, list []T, most int) []T {
	if len(list) <= most {
		return list
	}
	f.Skipped = append(f.Skipped, inventory.SkipFact{Check: what, Needs: "a shorter list", Reason: "the agent reported more than the server takes", Code: "limit"})
	return list[:most]
}

// hide hides what looks like a secret in arguments.
func hide(args []string) []string {
	if len(args) == 0 {
		return args
	}
	args = args[:min(len(args), maxArgs)]
	for i := range args {
		if len(args[i]) > maxFactIn {
			args[i] = args[i][:maxFactIn]
		}
	}
	return credential.Args(args)
}

// hideAll is hide for words of which the first is no program.
func hideAll(words []string) []string {
	if len(words) == 0 {
		return words
	}
	return hide(append([]string{"env"}, words...))[1:]
}

// hideIn hides what looks like a secret in a configuration.
func hideIn(key string, v any, depth int) any {
	if depth > maxDepth {
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = hideIn(k, v[k], depth+1)
		}
		return v
	case []any:
		for i := range v {
			v[i] = hideIn(key, v[i], depth+1)
		}
		return v
	case string:
		if _, _, leak := credential.InText(key, v); leak {
			return hidden
		}
	}
	return v
}
