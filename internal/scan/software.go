package scan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/vex"
)

// Software says how to look into images, root file systems and bills of materials.
type Software struct {
	// Load reads what use holds. It is called from several goroutines. An error with a Code method ("forbidden") names the
	// code of finding.NotScanned; others count as unreachable.
	Load func(ctx context.Context, use Use) (*inventory.Software, error)
	// Match finds the vulnerabilities of an inventory. Gaps say what could not be matched. eol is the date on which its
	// operating system's fixes end, "" when unknown. Nil: there is no advisory database, which NoDatabase explains.
	Match      func(sw *inventory.Software, use Use, cluster string) (found []*finding.Finding, gaps []inventory.Gap, eol string)
	NoDatabase string
	// Urgent judges an inventory for emergency vulnerabilities, with and without an advisory database; nil: it is not asked.
	// objects are those of the cluster, nil where they are not all read.
	Urgent func(sw *inventory.Software, use Use, cluster string, objects *inventory.Cluster) []*finding.Finding
	// Notes say what of the advisory data could not be used, such as a damaged list of emergencies.
	Notes []string
	// Prepare is called once with everything that will be loaded, before the first Load; may be nil.
	Prepare func(ctx context.Context, uses []Use) error
	// Asked are the things to look into beside the images of a cluster.
	Asked    []Use
	Workers  int                   // read at once; 0 is 4
	Progress func(done, total int) // may be nil
}

// Use is something to look into, and who runs it.
type Use struct {
	Reference   string // as the workloads or the user write it
	Digest      string // as running; "" when unknown
	Workloads   []finding.WorkloadRef
	Labels      []map[string]string // of the pods of each of Workloads
	PullSecrets []string            // "namespace/name"
	Core        string              // name of the core component that it is
	Exposed     bool                // a workload that runs it is privileged: raises the priority
	// Variant tells apart what runs of one repository at the same time, "1.0" and "2.0"; "" for the only one. Findings are of
	// the repository and the variant, so that a new tag alone makes no new finding.
	Variant string
}

// key tells uses apart: an image is read once, whoever runs it.
func (u *Use) key() string { return useKey(u.Reference, u.Digest) }

func useKey(reference, digest string) string {
	if digest != "" {
		return digest
	}
	return reference
}

// Pull is the reference to ask a registry for: by digest where that is known.
func (u *Use) Pull() string {
	if u.Digest == "" || strings.Contains(u.Reference, "@") {
		return u.Reference
	}
	name, _ := inventory.SplitReference(u.Reference)
	return name + "@" + u.Digest
}

// uses lists the images of the cluster, each digest once, core components first.
func (r *run) uses() []Use {
	core := map[string]string{}
	for _, c := range r.cfg.Header.Target.Components {
		core[c.Image] = c.Name
	}
	byKey, order := map[string]*Use{}, []string{}
	add := func(w *inventory.Workload, container, image, digest string, privileged bool) {
		key := useKey(image, digest)
		u := byKey[key]
		if u == nil {
			u = &Use{Reference: image, Digest: digest, Core: core[image]}
			byKey[key] = u
			order = append(order, key)
		}
		if ref := (finding.WorkloadRef{Kind: w.Ref.Kind, Namespace: w.Ref.Namespace, Name: w.Ref.Name, Container: container}); !slices.Contains(u.Workloads, ref) {
			u.Workloads, u.Labels = append(u.Workloads, ref), append(u.Labels, w.Labels)
		}
		u.Exposed = u.Exposed || privileged
		secrets := w.PullSecrets
		if sa := r.cluster.ServiceAccounts[w.Ref.Namespace+"/"+w.ServiceAccount]; sa != nil {
			secrets = slices.Concat(secrets, sa.PullSecrets)
		}
		for _, s := range secrets {
			if name := w.Ref.Namespace + "/" + s; !slices.Contains(u.PullSecrets, name) {
				u.PullSecrets = append(u.PullSecrets, name)
			}
		}
	}
	for _, w := range r.cluster.Workloads {
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
				add(w, c.Name, c.Image, d, c.Privileged)
			}
		}
	}
	out := make([]Use, len(order))
	for i, key := range order {
		out[i] = *byKey[key]
	}
	slices.SortStableFunc(out, func(a, b Use) int {
		if (a.Core == "") != (b.Core == "") {
			if a.Core != "" {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Reference, b.Reference)
	})
	variants(out)
	return out
}

// variants names what runs of a repository more than once: by tag, or by digest where tags do not tell them apart.
func variants(uses []Use) {
	count, tags := map[string]int{}, map[string]int{}
	for _, u := range uses {
		name, _ := inventory.SplitReference(u.Reference)
		count[name]++
		tags[u.Reference]++
	}
	for i := range uses {
		u := &uses[i]
		name, tag := inventory.SplitReference(u.Reference)
		switch {
		case count[name] == 1:
		case tag != "" && tags[u.Reference] == 1:
			u.Variant = tag
		default:
			u.Variant = u.Digest
		}
	}
}

// software looks into everything in use, several at a time, and reports in the order of uses: the same cluster gives the same
// report however fast its registries are.
func (r *run) software(ctx context.Context) error {
	s := r.cfg.Software
	if s == nil {
		return nil
	}
	uses := s.Asked
	if r.cfg.Header.Target.Kind == "cluster" {
		uses = append(slices.Clone(uses), r.uses()...)
	}
	if s.Prepare != nil {
		if err := s.Prepare(ctx, uses); err != nil {
			return err
		}
	}
	workers := s.Workers
	if workers <= 0 {
		workers = 4
	}
	type loaded struct {
		software *inventory.Software
		err      error
	}
	results := make([]chan loaded, len(uses))
	for i := range results {
		results[i] = make(chan loaded, 1)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ahead := make(chan struct{}, 2*workers) // bounds what is in memory
	next := make(chan int)
	var group sync.WaitGroup
	for range min(workers, len(uses)) {
		group.Go(func() {
			for i := range next {
				sw, err := s.Load(ctx, uses[i])
				results[i] <- loaded{sw, err}
			}
		})
	}
	go func() {
		defer close(next)
		for i := range uses {
			select {
			case ahead <- struct{}{}:
				next <- i
			case <-ctx.Done():
				return
			}
		}
	}()
	for i := range uses {
		var got loaded
		select {
		case got = <-results[i]:
			<-ahead
		case <-ctx.Done(): // the whole scan ends: Run says so
		}
		if ctx.Err() != nil {
			break
		}
		if got.err != nil {
			r.unloaded(&uses[i], got.err)
		} else {
			r.look(got.software, &uses[i])
		}
		if s.Progress != nil {
			s.Progress(i+1, len(uses))
		}
		if r.failed != nil {
			break
		}
	}
	cancel()
	group.Wait()
	for _, n := range s.Notes {
		r.told = append(r.told, finding.NotScanned{Target: r.cfg.Header.Target.Name, What: "emergencies", Reason: n, Code: finding.Broken})
	}
	if s.Match == nil && len(uses) > 0 {
		code := finding.Skipped
		if len(s.Asked) > 0 {
			code = finding.NoAdvisoryData // asked for by name
		}
		r.told = append(r.told, finding.NotScanned{Target: r.cfg.Header.Target.Name, What: "vulnerabilities", Reason: s.NoDatabase, Code: code})
	}
	return nil
}

// unloaded tells why something in use was not read.
func (r *run) unloaded(u *Use, err error) {
	code := finding.Unreachable
	var coded interface{ Code() string }
	if errors.As(err, &coded) {
		code = finding.Code(coded.Code())
	}
	r.told = append(r.told, finding.NotScanned{Target: u.Reference, What: "image", Reason: err.Error(), Code: code})
	r.assets.image(u, nil, err.Error())
	r.unread++
	r.lastErr = err
	for i := range r.cfg.Header.Target.Components {
		if c := &r.cfg.Header.Target.Components[i]; c.Image == u.Reference && c.NotScanned == "" {
			c.NotScanned = "its image could not be read: " + err.Error()
		}
	}
}

// look judges one inventory: rules over the image's facts, and vulnerabilities.
func (r *run) look(sw *inventory.Software, u *Use) {
	r.stats.Packages += len(sw.Packages)
	r.stats.Images++
	r.assets.image(u, sw, "")
	gaps, eol := sw.Gaps, ""
	cluster := r.cluster.Name
	if r.cfg.Software.Match != nil {
		var found []*finding.Finding
		var more []inventory.Gap
		found, more, eol = r.cfg.Software.Match(sw, *u, cluster)
		gaps = slices.Concat(gaps, more)
		for _, f := range found {
			r.place(f, sw, u)
			r.take(outcome{finding: f})
			r.counted(f, u)
		}
	}
	if r.cfg.Software.Urgent != nil {
		objects := r.cluster
		if r.cfg.Partial || r.cfg.Header.Target.Kind != "cluster" {
			objects = nil
		}
		for _, f := range r.cfg.Software.Urgent(sw, *u, cluster, objects) {
			r.place(f, sw, u)
			r.take(outcome{finding: f})
		}
	}
	for _, g := range gaps {
		r.told = append(r.told, finding.NotScanned{Target: sw.Name, What: g.What, Reason: strings.TrimPrefix(g.Reason, g.What+": "), Code: finding.Code(g.Code)})
	}
	if sw.Kind == "image" || sw.Kind == "rootfs" {
		r.imageRules(sw, u, eol)
	}
	if sw.OS != nil && r.cfg.Header.Target.OS == "" && r.cfg.Header.Target.Kind != "cluster" {
		r.cfg.Header.Target.OS = sw.OS.Release
	}
}

// imageRules runs the rules over the image's facts.
func (r *run) imageRules(sw *inventory.Software, u *Use, eol string) {
	imageRules(r.engine.Session(), sw, u, r.cluster.Name, r.cfg.Now(), eol,
		func(f *finding.Finding, _ string) {
			r.place(f, sw, u)
			r.take(outcome{finding: f})
		},
		func(ru *rule.Rule, err error) {
			r.take(outcome{undecided: ru.Name + "\x00" + err.Error(), where: sw.Name})
		})
}

// imageRules runs rules over an image's facts. A hit in a file is reported as that file; item is what the fingerprint is made of
// beside the rule and the image.
func imageRules(session *rule.Session, sw *inventory.Software, u *Use, cluster string, now time.Time, eol string, found func(f *finding.Finding, item string), undecided func(*rule.Rule, error)) {
	facts := sw.ImageFacts(now, eol)
	subject := rule.Subject{Cluster: cluster, Ref: facts.Ref()}
	subject.Ref.Name = strings.TrimSuffix(subject.Ref.Name+":"+u.Variant, ":")
	session.Object(facts, nil, rule.Sink{
		Hit: func(ru *rule.Rule, h rule.Hit) {
			var at *inventory.Hit
			h.Path, at = hitPath(sw, h.Path)
			f := ru.Finding(subject, h)
			f.Resource.APIVersion, f.Resource.Kind, f.Resource.Name = "", "", ""
			if at != nil {
				f.Resource.File, f.Resource.Line = at.Path, at.Line
				if at.Layer >= 0 && at.Layer < len(sw.Layers) {
					f.Resource.Layer = sw.Layers[at.Layer].Digest
				}
			}
			found(f, h.Item)
		},
		Undecided: undecided,
	})
}

// Looker judges one inventory after another as a scan of images does, for those who keep what comes out. It is used by several
// goroutines.
type Looker struct {
	engine *rule.Engine
	vex    *vex.Set
	now    func() time.Time
}

// NewLooker makes a Looker. v may be nil.
func NewLooker(lib *rule.Library, v *vex.Set, now func() time.Time) *Looker {
	return &Looker{engine: rule.NewEngine(lib.For("image")), vex: v, now: now}
}

// Look tells the findings on an image, each once, with what its fingerprint is made of beside rule and repository. match may be nil:
// there is no advisory database.
func (l *Looker) Look(sw *inventory.Software, u Use, match func(sw *inventory.Software, use Use, cluster string) ([]*finding.Finding, []inventory.Gap, string),
	found func(f *finding.Finding, item string)) (gaps []inventory.Gap, undecided []string) {
	seen := map[string]bool{}
	tell := func(f *finding.Finding, item string) {
		if seen[f.Fingerprint] {
			return
		}
		seen[f.Fingerprint] = true
		placeImage(f, sw, &u, "")
		Filter{VEX: l.vex}.Apply(f, l.now())
		found(f, item)
	}
	gaps, eol := sw.Gaps, ""
	if match != nil {
		var list []*finding.Finding
		var more []inventory.Gap
		list, more, eol = match(sw, u, "")
		gaps = slices.Concat(gaps, more)
		for _, f := range list {
			tell(f, "")
		}
	}
	imageRules(l.engine.Session(), sw, &u, "", l.now(), eol, tell, func(ru *rule.Rule, err error) { undecided = append(undecided, ru.Name+": "+err.Error()) })
	return gaps, undecided
}

// hitPath turns "hits[3]" into the file that the hit is in.
func hitPath(sw *inventory.Software, path string) (string, *inventory.Hit) {
	var i int
	if _, err := fmt.Sscanf(path, "hits[%d]", &i); err != nil || i < 0 || i >= len(sw.Hits) {
		return path, nil
	}
	h := &sw.Hits[i]
	if h.Line > 0 {
		return fmt.Sprintf("%s:%d", h.Path, h.Line), h
	}
	return h.Path, h
}

// place says where a finding of an inventory is, and who runs it.
func (r *run) place(f *finding.Finding, sw *inventory.Software, u *Use) {
	placeImage(f, sw, u, r.cluster.Name)
}

func placeImage(f *finding.Finding, sw *inventory.Software, u *Use, cluster string) {
	f.Resource.Cluster = cluster
	if f.Risk == "" && sw.Kind != "node" {
		f.Risk = "image"
	}
	switch {
	case sw.Kind == "image":
		f.Resource.Image = u.Reference
		f.Resource.Digest = u.Digest
		if sw.Image != nil && sw.Image.Digest != "" {
			f.Resource.Digest = sw.Image.Digest
		}
	case sw.Kind == "node":
		f.Resource.Node = sw.Name
	default:
		f.Resource.Image = sw.Name
	}
	f.Resource.Workloads, f.Resource.Labels = u.Workloads, u.Labels
}

// counted adds a vulnerability to the core component that has it.
func (r *run) counted(f *finding.Finding, u *Use) {
	if u.Core == "" || f.Vulnerability == nil || f.Status != finding.Open {
		return
	}
	for i := range r.cfg.Header.Target.Components {
		c := &r.cfg.Header.Target.Components[i]
		if c.Image != u.Reference {
			continue
		}
		counts := &c.Application
		if f.Vulnerability.Type == "system" {
			counts = &c.System
		}
		if *counts == nil {
			*counts = map[finding.Severity]int{}
		}
		(*counts)[f.Severity]++
	}
}
