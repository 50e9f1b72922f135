package attack

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// hole is a finding by which somebody from outside gets into a workload.
type hole struct {
	fingerprint, rule, cve string
	pack, fixed            string // package, and its fixed version
	image                  string
	severity               finding.Severity
	ease                   float64
	kev                    bool
	epss                   float64
	open                   bool // a door without a lock
	login                  bool // counts only where somebody can log in: an SSH server
}

// Evidence gathers from the findings of a scan what the graph needs of them. It hands everything on.
type Evidence struct {
	finding.AssetHandler

	holes   map[string][]hole   // by imageKey, and by workloadKey
	more    map[string]bool     // images with more holes than are kept
	uses    map[string][]string // images of a container, by containerKey
	used    map[string]bool     // images that uses knows
	secrets map[string][]Proof
	linked  map[string]string // fingerprints of other findings: rule, object and container
	ssh     map[string]bool   // images with an SSH server
	unread  map[string]string // images that could not be read, and why
	matched bool              // vulnerabilities could be matched
	noData  string
	images  int
	graph   *Graph
	exposed map[string][]string // emergencies that agents verified, by node
}

// Listen puts an Evidence before a handler.
func Listen(h finding.AssetHandler) *Evidence {
	return &Evidence{AssetHandler: h, holes: map[string][]hole{}, secrets: map[string][]Proof{}, linked: map[string]string{}, ssh: map[string]bool{},
		more: map[string]bool{}, uses: map[string][]string{}, used: map[string]bool{}, unread: map[string]string{}, matched: true}
}

// Cluster is for scan.Config.Cluster: it builds the graph.
func (e *Evidence) Cluster(c *inventory.Cluster) { e.graph = Build(c, e) }

// Graph is what Cluster built; nil before.
func (e *Evidence) Graph() *Graph { return e.graph }

// likely bounds below which a severity of high alone makes no hole.
const likely = 0.1

// consoles run commands or hand over rights for whoever reaches them, by the name in the finding's item.
var consoles = map[string]float64{"Jupyter": 0.7, "Kubernetes Dashboard": 0.6, "Weave Scope": 0.7, "Argo Workflows": 0.5, "Kubeflow": 0.5, "Jenkins": 0.4,
	"Portainer": 0.4, "Apache Airflow": 0.4, "Airflow": 0.4, "NiFi": 0.4, "XXL-JOB": 0.5, "etcd": 0.5, "Redis Commander": 0.5, "phpMyAdmin": 0.3, "mongo-express": 0.4, "Nacos": 0.4}

// doors are rules about doors without a lock, with how easy they are.
var doors = map[string]float64{"workload/helm-tiller": 0.9, "image/default-credentials": 0.6, "image/open-account": 0.7}

// linkable are rules whose findings an edge names beside its own proof.
var linkable = []string{"workload/privileged-container", "escape/", "network/exposed-outside", "network/exposed-and-privileged", "network/metadata-reachable",
	"access/workload-with-admin-rights", "access/workload-with-dangerous-rights", "access/workload-reads-secrets", "access/path-to-cluster-admin",
	"access/cluster-admin-bound", "access/subject-", "control-plane/apiserver-anonymous-auth"}

// Finding implements finding.Handler.
func (e *Evidence) Finding(f *finding.Finding) error {
	if f.Status == finding.Open {
		e.note(f)
	}
	return e.AssetHandler.Finding(f)
}

func (e *Evidence) note(f *finding.Finding) {
	r := &f.Resource
	e.use(r)
	switch {
	case f.Vulnerability != nil:
		if h, ok := exploitable(f); ok {
			e.addHole(imageKey(r.Image, r.Digest), h)
		}
	case f.Rule == "image/ssh-server" || f.Rule == "workload/sshd-command":
		e.ssh[imageKey(r.Image, r.Digest)] = true
	case f.Rule == "network/sensitive-interface-exposed":
		for name, ease := range consoles {
			if strings.HasPrefix(f.Message.EN, name+" of ") {
				e.addHole(workloadKey(r.Kind, r.Namespace, r.Name), hole{fingerprint: f.Fingerprint, rule: f.Rule, severity: f.Severity, ease: ease, open: true, pack: name})
			}
		}
	case doors[f.Rule] > 0:
		h := hole{fingerprint: f.Fingerprint, rule: f.Rule, severity: f.Severity, ease: doors[f.Rule], open: true, image: r.Image,
			login: f.Rule == "image/open-account"}
		if len(f.Evidence) > 0 {
			h.pack, _ = f.Evidence[0].Found.(string)
		}
		if r.Kind != "" {
			e.addHole(workloadKey(r.Kind, r.Namespace, r.Name), h)
		} else {
			e.addHole(imageKey(r.Image, r.Digest), h)
		}
	case f.Kind == finding.Secret && !strings.Contains(f.Rule, "used-by") && !strings.Contains(f.Rule, "unused"):
		p := Proof{Object: Object{r.APIVersion, r.Kind, r.Namespace, r.Name}, Rule: f.Rule, Fingerprint: f.Fingerprint, Image: r.Image}
		if len(f.Evidence) > 0 {
			p.Path = f.Evidence[0].Path
		}
		key := workloadKey(r.Kind, r.Namespace, r.Name)
		if r.Kind == "" {
			key, p.Path = imageKey(r.Image, r.Digest), cmp.Or(r.File, p.Path)
		}
		if len(e.secrets[key]) < maxProofs {
			e.secrets[key] = append(e.secrets[key], p)
		}
	}
	if r.Kind != "" && slices.ContainsFunc(linkable, func(p string) bool { return strings.HasPrefix(f.Rule, p) }) {
		key := f.Rule + "\x00" + workloadKey(r.Kind, r.Namespace, r.Name) + "\x00" + r.Container
		if e.linked[key] == "" {
			e.linked[key] = f.Fingerprint
		}
	}
}

// link is the fingerprint of a finding of a rule on an object, "" when there is none.
func (e *Evidence) link(rule string, o Object, container string) string {
	return e.linked[rule+"\x00"+workloadKey(o.Kind, o.Namespace, o.Name)+"\x00"+container]
}

// maxHoles bounds the holes that are kept of an image: the easiest.
const maxHoles = 32

func (e *Evidence) addHole(key string, h hole) {
	list := e.holes[key]
	if len(list) < maxHoles {
		e.holes[key] = append(list, h)
		return
	}
	e.more[key] = true
	least := 0
	for i := range list {
		if list[i].ease < list[least].ease {
			least = i
		}
	}
	if list[least].ease < h.ease {
		list[least] = h
	}
}

// use notes which containers run the image that a finding is on.
func (e *Evidence) use(r *finding.Resource) {
	key := imageKey(r.Image, r.Digest)
	if r.Image == "" || r.Kind != "" || e.used[key] {
		return
	}
	e.used[key] = true
	for _, w := range r.Workloads {
		at := containerKey(w.Kind, w.Namespace, w.Name, w.Container)
		e.uses[at] = append(e.uses[at], key)
	}
}

func containerKey(kind, namespace, name, container string) string {
	return workloadKey(kind, namespace, name) + "\x00" + container
}

// imageKey names an image by its reference and, where several of one reference run, its digest.
func imageKey(reference, digest string) string {
	if digest != "" {
		return digest
	}
	return reference
}

func workloadKey(kind, namespace, name string) string { return kind + " " + namespace + "/" + name }

// exploitable reports whether a vulnerability lets somebody on the network take over the program, and how easily. Without a
// vector only the worst rating or known exploitation tells.
func exploitable(f *finding.Finding) (hole, bool) {
	v := f.Vulnerability
	h := hole{fingerprint: f.Fingerprint, cve: v.ID, rule: f.Rule, pack: v.Package, fixed: v.FixedVersion, image: f.Resource.Image, severity: f.Severity, kev: v.KEV, epss: v.EPSS}
	if f.Severity.Rank() < finding.High.Rank() && !v.KEV && v.EPSS < likely || v.Symbols == "not-linked" {
		return h, false
	}
	factor, ok := remote(v.Vector)
	if !ok || v.Vector == "" && !v.KEV && f.Severity != finding.Critical {
		return h, false
	}
	switch {
	case v.KEV:
		h.ease = 0.95
	case v.EPSS >= 0.5:
		h.ease = 0.9
	case v.EPSS >= likely:
		h.ease = 0.75
	case f.Severity == finding.Critical:
		h.ease = 0.6
	default:
		h.ease = 0.45
	}
	if v.Vector == "" {
		factor *= 0.6
	}
	if v.EvidenceClass == finding.EvidenceInferred {
		factor *= 0.5
	}
	if v.Type == "system" && !v.KEV {
		factor *= 0.7 // whether the library answers requests is not known
	}
	h.ease = math.Round(h.ease*factor*1000) / 1000
	return h, true
}

// remote reads a CVSS vector: over the network, without anybody's help, and with control of what the program does. An unknown
// vector is possible.
func remote(vector string) (factor float64, ok bool) {
	if vector == "" {
		return 1, true
	}
	m := map[string]string{}
	for part := range strings.SplitSeq(vector, "/") {
		if k, v, found := strings.Cut(part, ":"); found {
			m[k] = v
		}
	}
	if m["AV"] != "N" || m["PR"] == "H" || m["Au"] == "M" || m["UI"] != "" && m["UI"] != "N" {
		return 0, false
	}
	integrity := cmp.Or(m["VI"], m["I"]) // CVSS 4 has VI
	if integrity != "H" && integrity != "C" && (integrity != "P" || m["C"] != "P") {
		return 0, false // it leaks or stops the program, no more
	}
	factor = 1
	if m["PR"] == "L" || m["Au"] == "S" {
		factor *= 0.5
	}
	if m["AC"] == "H" || m["AT"] == "P" {
		factor *= 0.7
	}
	return factor, true
}

// Asset implements finding.AssetHandler.
func (e *Evidence) Asset(a finding.Asset) error {
	if a.Kind == "image" {
		e.images++
		if a.Unread != "" {
			e.unread[imageKey(a.Name, a.Digest)] = a.Unread
		}
	}
	return e.AssetHandler.Asset(a)
}

// NotScanned implements finding.Handler.
func (e *Evidence) NotScanned(n finding.NotScanned) error {
	if n.What == "vulnerabilities" {
		e.matched, e.noData = false, n.Reason
	}
	return e.AssetHandler.NotScanned(n)
}

// holesOf lists the holes of a workload that runs with a container's image, the easiest first.
func (e *Evidence) holesOf(keys ...string) []hole {
	var out []hole
	for _, k := range keys {
		out = append(out, e.holes[k]...)
	}
	slices.SortStableFunc(out, func(a, b hole) int {
		return cmp.Or(cmp.Compare(b.ease, a.ease), strings.Compare(a.cve, b.cve), strings.Compare(a.fingerprint, b.fingerprint))
	})
	return slices.CompactFunc(out, func(a, b hole) bool { return a.fingerprint == b.fingerprint })
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
