package scan

import (
	"regexp"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// assets remembers what was looked at, for a handler that wants to know.
type assets struct {
	handler finding.AssetHandler // nil: nobody asks
	objects []finding.Asset      // as they were read; workloads come from the cluster, which has folded their pods
	files   map[string]bool
	images  []finding.Asset
	refs    map[string]finding.ImageRef // of a use, by its key -> as the image's asset has them
}

// object notes an object that is judged for itself.
func (a *assets) object(o *inventory.Object) {
	if a.handler == nil {
		return
	}
	ref := o.Ref()
	kind := "object"
	switch {
	case o.Origin.File != "":
		if a.files == nil {
			a.files = map[string]bool{}
		}
		if a.files[o.Origin.File] {
			return
		}
		a.files[o.Origin.File] = true
		a.objects = append(a.objects, finding.Asset{Kind: "file", Name: o.Origin.File})
		return
	case inventory.CarriesPod(ref.GroupKind()):
		return
	case ref.GroupKind() == "Namespace":
		kind = "namespace"
	case ref.GroupKind() == "Node", ref.GroupKind() == "NodeFacts.stockade.dev":
		name := ref.Name
		if name == "" { // facts of a node have their name at the top
			name = inventory.Str(o.Content, "name")
		}
		if name != "" {
			a.objects = append(a.objects, finding.Asset{Kind: "node", GroupKind: "Node", Name: name, Facts: nodeFacts(o)})
		}
		return
	}
	out := finding.Asset{Kind: kind, GroupKind: ref.GroupKind(), Namespace: ref.Namespace, Name: ref.Name}
	if kind == "namespace" {
		out.Facts = &finding.Facts{PodSecurity: cut(o.Labels()["pod-security.kubernetes.io/enforce"])}
	}
	a.objects = append(a.objects, out)
}

// image notes an image in use. sw is nil when it was not looked into.
func (a *assets) image(u *Use, sw *inventory.Software, unread string) {
	if a.handler == nil {
		return
	}
	digest := u.Digest
	if sw != nil && sw.Image != nil && sw.Image.Digest != "" {
		digest = sw.Image.Digest
	}
	if a.refs == nil {
		a.refs = map[string]finding.ImageRef{}
	}
	if sw != nil && sw.Kind == "node" {
		a.images = append(a.images, finding.Asset{Kind: "node", GroupKind: "Node", Name: sw.Name})
		return
	}
	a.refs[u.key()] = finding.ImageRef{Reference: u.Reference, Digest: digest}
	a.images = append(a.images, finding.Asset{Kind: "image", Name: u.Reference, Digest: digest, Unread: unread})
}

// report hands all assets to the handler: the target, what was read, workloads with what they run, images, and what could not be
// looked at. broken says why the source broke off, "" when it did not.
func (r *run) report(broken string) {
	a := &r.assets
	if a.handler == nil || r.failed != nil {
		return
	}
	all := a.objects
	if r.cfg.Header.Target.Kind == "cluster" {
		all = append(all, finding.Asset{Kind: "cluster", Name: r.cluster.Name, Unread: broken})
		if r.cfg.Software == nil {
			for _, u := range r.uses() {
				a.image(&u, nil, "images were left out of this scan")
			}
		}
		for _, w := range r.cluster.Workloads {
			if w.Origin.File == "" {
				all = append(all, r.workload(w))
			}
		}
		for kind, why := range r.cluster.Unread {
			all = append(all, finding.Asset{Kind: "object", GroupKind: kind, Unread: why})
		}
	}
	if r.cfg.Header.Target.Kind == "iac" {
		for _, n := range r.told {
			if file := fileOf(n.Target); n.Code.Blocking() && file != r.cfg.Header.Target.Name {
				all = append(all, finding.Asset{Kind: "file", Name: file, Unread: n.Reason})
			}
		}
	}
	if r.cfg.Partial {
		for _, ru := range r.cfg.Library.Rules {
			switch a := r.analyzer(ru); {
			case a != nil && a.Cluster != nil:
				all = append(all, finding.Asset{Kind: "rule", Name: ru.Name, Unread: "it needs the whole cluster"})
			case r.cfg.NodesOnly != onNodes(ru) && (r.cfg.NodesOnly || len(r.cluster.Nodes) == 0):
				all = append(all, finding.Asset{Kind: "rule", Name: ru.Name, Unread: "what it is about was not read"})
			}
		}
	}
	for _, name := range sortedKeys(r.partly) {
		if nodes := r.partly[name]; len(nodes) < len(r.cluster.Nodes) {
			for _, node := range sortedKeys(nodes) {
				all = append(all, finding.Asset{Kind: "rule", Name: name, Node: node, Unread: "it could not be decided there"})
			}
		} else {
			all = append(all, finding.Asset{Kind: "rule", Name: name, Unread: "it could not be decided on any node"})
		}
	}
	for name := range r.unjudged {
		all = append(all, finding.Asset{Kind: "rule", Name: name, Unread: "it could not be decided"})
	}
	for key := range r.undecided {
		name, reason, _ := strings.Cut(key, "\x00")
		all = append(all, finding.Asset{Kind: "rule", Name: name, Unread: reason})
	}
	for _, list := range [][]finding.Asset{all, a.images} {
		for i := range list {
			if r.failed = a.handler.Asset(list[i]); r.failed != nil {
				return
			}
		}
	}
}

// position is the line, and perhaps the column, behind the name of a file.
var position = regexp.MustCompile(`(:[0-9]+){1,2}$`)

// fileOf is the file of a place such as "deploy.yaml:3:5".
func fileOf(s string) string { return position.ReplaceAllString(s, "") }

// workload is the asset of a workload with the images that it runs.
func (r *run) workload(w *inventory.Workload) finding.Asset {
	out := finding.Asset{Kind: "workload", GroupKind: w.Ref.GroupKind(), Namespace: w.Ref.Namespace, Name: w.Ref.Name, Labels: w.Labels}
	if !r.cfg.Partial { // a part of the cluster does not tell what opens a workload
		out.Facts = r.workloadFacts(w)
	}
	for i := range w.Containers {
		c := &w.Containers[i]
		if c.Image == "" {
			continue
		}
		digests := c.Digests
		if len(digests) == 0 {
			digests = []string{""}
		}
		for _, d := range digests {
			if ref, ok := r.assets.refs[useKey(c.Image, d)]; ok {
				out.Runs = append(out.Runs, ref)
			}
		}
	}
	return out
}
