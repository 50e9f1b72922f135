package scan

import (
	"context"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// facts takes in what is known of nodes. Each is judged and shrunk before the next one comes, so that those of thousands of nodes are
// never in memory together; what else there is of the cluster is known by then.
func (r *run) facts(ctx context.Context, source Source) error {
	session := r.engine.Session()
	return source.Stream(ctx, func(o *inventory.Object) error {
		before := len(r.cluster.Components)
		if t, ok := r.record(o); ok {
			for _, out := range r.judge(ctx, session, []task{t}) {
				r.take(out)
			}
		}
		name := o.Name
		if name == "" {
			name = inventory.Str(o.Content, "name")
		}
		if r.cluster.Nodes[name] != nil {
			for _, c := range r.cluster.Components[before:] {
				r.component(session, c)
			}
			r.node(session, name)
			r.cluster.Shrink(name)
			r.shrunk[name] = true
		}
		if r.failed != nil {
			return r.failed
		}
		return ctx.Err()
	}, func(n finding.NotScanned) { r.told = append(r.told, n) })
}

// node judges the facts of a node, and what runs on it.
func (r *run) node(session *rule.Session, name string) {
	n := r.cluster.Nodes[name]
	subject := rule.Subject{Cluster: r.cluster.Name, Node: name, Origin: n.Origin, Ref: inventory.Ref{APIVersion: "v1", Kind: "Node", Name: name}}
	session.Node(n.Value(), r.onContainers(n, subject, r.sink(subject)))
	r.notRead(n)
}

// onNodes reports whether a rule is about what runs and lies on nodes.
func onNodes(r *rule.Rule) bool {
	return r.Validate != nil && (r.Validate.Over == "node" || r.Validate.Over == "component")
}

// onContainers gives hits in a running container to the workload that it is of: what is wrong there is not wrong with the node.
func (r *run) onContainers(n *inventory.NodeFacts, subject rule.Subject, sink rule.Sink) rule.Sink {
	onNode := sink.Hit
	sink.Hit = func(ru *rule.Rule, h rule.Hit) {
		c := containerOf(n, h.Path)
		if bad := malwareAt(n, h.Path); bad != nil {
			r.malicious(n, subject, ru, h, bad, c)
			return
		}
		if c == nil || c.Pod == "" {
			onNode(ru, h)
			return
		}
		s := subject
		ref, labels := r.ownerOf(n.Name, c)
		s.Ref, h.Container = ref, c.Container
		h.Item = strings.ReplaceAll(h.Item, "container="+c.Namespace+"/"+c.Pod+"/"+c.Container, "") // the next pod has another name
		f := ru.Finding(s, h)
		f.Resource.Image, f.Resource.Digest = c.Image, c.Digest
		if labels != nil {
			f.Resource.Labels = []map[string]string{labels}
		}
		if c.Pod != ref.Name {
			f.Evidence = append(f.Evidence, finding.Evidence{Path: "pod", Found: c.Pod})
		}
		r.take(outcome{finding: r.dress(f, &inventory.Object{Origin: s.Origin})})
	}
	return sink
}

// malwareAt is the malicious file that a place in the facts is about; nil for other places.
func malwareAt(n *inventory.NodeFacts, path string) *inventory.MalwareFact {
	list, rest, _ := strings.Cut(path, "[")
	index, _, _ := strings.Cut(rest, "]")
	if i, err := strconv.Atoi(index); list == "malware" && err == nil && i >= 0 && i < len(n.Malware) {
		return &n.Malware[i]
	}
	return nil
}

// malicious gives a malicious file to the workload whose container has it, or to the image, as the findings of a scan of images are; to
// the node where neither is known. c is its container as the facts have it; nil: it came after they were read.
func (r *run) malicious(n *inventory.NodeFacts, s rule.Subject, ru *rule.Rule, h rule.Hit, m *inventory.MalwareFact, c *inventory.ContainerFact) {
	at := h.Path
	h.Path, h.Item = m.Path, "path="+m.Path
	out := finding.Resource{Cluster: s.Cluster, Image: m.Image, Digest: m.Digest}
	pod := ""
	if c == nil {
		if parts := strings.Split(m.Container, "/"); len(parts) == 3 {
			c = &inventory.ContainerFact{Namespace: parts[0], Pod: parts[1], Container: parts[2], Image: m.Image, Digest: m.Digest}
		}
	}
	switch {
	case c != nil && c.Pod != "":
		ref, labels := r.ownerOf(n.Name, c)
		s.Ref, h.Container = ref, c.Container
		out = finding.Resource{Cluster: s.Cluster, APIVersion: ref.APIVersion, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name, Container: c.Container, Node: s.Node, Image: c.Image, Digest: c.Digest}
		if labels != nil {
			out.Labels = []map[string]string{labels}
		}
		if c.Pod != ref.Name {
			pod = c.Pod
		}
	case m.Container == "" && m.Image != "": // many nodes may hold the image: it is one finding
		name, _ := inventory.SplitReference(m.Image)
		s.Node, s.Ref = "", inventory.Ref{APIVersion: "stockade.dev/v1", Kind: "ImageFacts", Name: name}
	default:
		h.Item += ",container=" + m.Container
		out = finding.Resource{Cluster: s.Cluster, APIVersion: s.Ref.APIVersion, Kind: s.Ref.Kind, Name: s.Ref.Name, Node: s.Node, Container: m.Container}
	}
	f := ru.Finding(s, h)
	out.File = m.Path
	if s.Origin.Locate != nil {
		out.Line, out.Column = s.Origin.Locate(at)
	}
	f.Resource = out
	f.Evidence = append(f.Evidence, recognised(m)...)
	if pod != "" {
		f.Evidence = append(f.Evidence, finding.Evidence{Path: "pod", Found: pod})
	}
	r.take(outcome{finding: r.dress(f, &inventory.Object{Origin: s.Origin})})
}

// recognised is what a malicious file was recognised by.
func recognised(m *inventory.MalwareFact) []finding.Evidence {
	var out []finding.Evidence
	if m.By != "" {
		out = append(out, finding.Evidence{Path: "by", Found: m.By})
	}
	if m.Hash != "" {
		out = append(out, finding.Evidence{Path: "hash", Found: m.Hash})
	}
	return out
}

// ownerOf is the workload that a container is of, as far as its pod's name tells; the pod where it does not.
func (r *run) ownerOf(node string, c *inventory.ContainerFact) (inventory.Ref, map[string]string) {
	var labels map[string]string
	ref := inventory.PodOwner(c.Namespace, c.Pod, node, c.Static, func(ref inventory.Ref) bool {
		if w := r.cluster.Workload(ref); w != nil && w.Ref == ref {
			labels = w.Labels
			return true
		}
		if r.cfg.Workload == nil {
			return false
		}
		known, ok := r.cfg.Workload(ref)
		if ok {
			labels = known
		}
		return ok
	})
	return ref, labels
}

// containerOf is the container that a place in the facts is about: its own facts, or a process, socket or program in it.
func containerOf(n *inventory.NodeFacts, path string) *inventory.ContainerFact {
	list, rest, _ := strings.Cut(path, "[")
	index, _, _ := strings.Cut(rest, "]")
	i, err := strconv.Atoi(index)
	name := ""
	switch {
	case err != nil || i < 0:
	case list == "containers" && i < len(n.Containers):
		return &n.Containers[i]
	case list == "processes" && i < len(n.Processes):
		name = n.Processes[i].Container
	case list == "listening" && i < len(n.Listening):
		name = n.Listening[i].Container
	case list == "binaries" && i < len(n.Binaries):
		name = n.Binaries[i].Container
	case list == "malware" && i < len(n.Malware):
		name = n.Malware[i].Container
	}
	if name == "" {
		return nil
	}
	for i := range n.Containers {
		if c := &n.Containers[i]; c.Pod != "" && c.Namespace+"/"+c.Pod+"/"+c.Container == name {
			return c
		}
	}
	return nil
}
