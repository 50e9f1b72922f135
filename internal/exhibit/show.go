package exhibit

import (
	"context"
	"errors"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/repair"
	"stockade.dev/stockade/internal/store"
)

// Show gives the object that a finding is about. An object that cannot be read is no error; one that the caller may not see is
// store.ErrNotFound.
func (r *Room) Show(ctx context.Context, q Question) (*Object, error) {
	f := q.Finding
	switch {
	case !q.Sees(f.Resource.Namespace) && len(f.Resource.Workloads) == 0:
		return nil, store.ErrNotFound
	case onImage(f):
		return r.showImage(ctx, q)
	case f.Resource.File != "" && q.Project:
		return r.showFile(ctx, q)
	case f.Resource.Node != "" && f.Vulnerability != nil:
		return r.nothing(f, nodeFacts), nil
	}
	ref := refOf(f)
	if ref.Kind == "" || ref.Name == "" {
		return r.nothing(f, finding.Text{EN: "the finding is about the cluster as a whole, not about one object", ZH: "该风险项针对整个集群，而不是某个对象"}), nil
	}
	if r.shop.OfNodeFacts(f) {
		return r.nothing(f, nodeFacts), nil
	}
	got, err := r.read(ctx, q, ref)
	if err != nil {
		return nil, err
	}
	out := &Object{State: got.state, Reason: got.reason, ReadAt: got.at, Name: nameOf(ref), FirstLine: 1}
	if got.object == nil {
		return out, nil
	}
	places, why := r.shop.Places(got.object, f)
	out.Reason = why
	draw(out, got.object, places, f.Message)
	return out, nil
}

var nodeFacts = finding.Text{EN: "it was read from the node itself by the node agent, not from an object of the cluster", ZH: "数据由节点代理从节点上采集，不是集群中的对象"}

func refOf(f *finding.Finding) inventory.Ref {
	return inventory.Ref{APIVersion: f.Resource.APIVersion, Kind: f.Resource.Kind, Namespace: f.Resource.Namespace, Name: f.Resource.Name}
}

func nameOf(ref inventory.Ref) string { return repair.Short(ref.String(), 300) }

func (r *Room) nothing(f *finding.Finding, why finding.Text) *Object {
	return &Object{State: Unavailable, Reason: why, ReadAt: r.now(), Name: nameOf(refOf(f)), FirstLine: 1}
}

// onImage reports whether a finding is about what an image holds.
func onImage(f *finding.Finding) bool {
	return f.Resource.Image != "" && (f.Resource.Kind == "" || strings.HasPrefix(f.Resource.Kind, "Image") || f.Vulnerability != nil)
}

// draw writes the object and marks the places.
func draw(out *Object, o *inventory.Object, places []repair.Place, said finding.Text) {
	at := make([]string, len(places))
	for i, p := range places {
		at[i], _ = repair.Nearest(o.Content, p.Path)
	}
	text := repair.Render(o.Content, at)
	out.YAML = text.YAML
	if text.Cut {
		out.Reason = finding.Text{EN: "only the beginning of the object is shown", ZH: "仅显示对象的开头部分"}
	}
	for i, p := range places {
		lines, ok := text.Lines[at[i]]
		if p.Elsewhere || !ok { // told without lines
			lines = repair.Span{}
		} else if at[i] != p.Path { // what is missing is not everything below its parent
			lines.Last = lines.First
		}
		m := Mark{Line: lines.First, EndLine: lines.Last, Path: p.Path, Found: p.Found, Want: p.Want, Message: p.Message}
		if m.Message.EN == "" {
			m.Message = said
		}
		out.Marks = append(out.Marks, m)
	}
	slices.SortStableFunc(out.Marks, func(a, b Mark) int { return a.Line - b.Line })
}

// showImage shows a workload that runs the image, with the lines that name it.
func (r *Room) showImage(ctx context.Context, q Question) (*Object, error) {
	f := q.Finding
	none := &Object{State: Unavailable, ReadAt: r.now(), Name: repair.Short(f.Resource.Image, 300), FirstLine: 1,
		Reason: finding.Text{EN: "no workload that you see runs this image", ZH: "在您可见的范围内没有工作负载使用该镜像"}}
	if q.Project {
		none.Reason = finding.Text{EN: "the finding is about what the image holds, not about a file", ZH: "该风险项针对镜像内容，而不是某个文件"}
		return none, nil
	}
	var last *Object
	tries := 0
	for _, w := range f.Resource.Workloads {
		if tries == 3 {
			break
		}
		api := versionOf(w.Kind)
		if api == "" || !q.Sees(w.Namespace) {
			continue
		}
		tries++
		ref := inventory.Ref{APIVersion: api, Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}
		got, err := r.read(ctx, q, ref)
		if err != nil {
			return nil, err
		}
		last = &Object{State: got.state, Reason: got.reason, ReadAt: got.at, Name: nameOf(ref), FirstLine: 1}
		if got.object == nil {
			continue
		}
		var places []repair.Place
		for _, c := range got.object.Containers() {
			if image := inventory.Str(c.Content, "image"); sameImage(image, f.Resource.Image) {
				places = append(places, repair.Place{Path: c.Path + ".image", Found: image})
			}
		}
		if len(places) > 0 {
			draw(last, got.object, places, f.Message)
			return last, nil
		}
		last.State, last.Reason = Unavailable, finding.Text{EN: "the workload does not name the image any more: it runs another one now", ZH: "工作负载已不再引用该镜像，当前运行的是其他镜像"}
	}
	if last != nil {
		return last, nil
	}
	return none, nil
}

// versionOf is the version by which workloads of a kind are read.
func versionOf(kind string) string {
	switch kind {
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet":
		return "apps/v1"
	case "Job", "CronJob":
		return "batch/v1"
	case "Pod", "ReplicationController":
		return "v1"
	}
	return ""
}

// sameImage compares references as people and runtimes write them: docker.io/library/nginx:1 is nginx:1.
func sameImage(a, b string) bool {
	short := func(s string) string {
		s, _, _ = strings.Cut(s, "@")
		s = strings.TrimPrefix(strings.TrimPrefix(s, "docker.io/"), "library/")
		if strings.LastIndexByte(s, ':') <= strings.LastIndexByte(s, '/') {
			s += ":latest"
		}
		return s
	}
	return a == b || short(a) == short(b)
}

// maxFile bounds the uploaded files that are shown.
const maxFile = 1 << 20

// showFile shows the faulty part of an uploaded file.
func (r *Room) showFile(ctx context.Context, q Question) (*Object, error) {
	f := q.Finding
	out := &Object{State: File, ReadAt: r.now(), Name: repair.Short(f.Resource.File, 300), FirstLine: 1}
	text, err := r.file(ctx, q)
	if err != nil {
		return nil, err
	}
	line := f.Resource.Line
	switch {
	case text != "":
		lines := strings.Split(text, "\n")
		from, to := document(lines, line)
		out.FirstLine = from + 1
		out.YAML = concealFile(f.Resource.File, strings.Join(lines[from:to], "\n"))
	case f.Snippet != nil:
		out.FirstLine, out.YAML = max(1, f.Snippet.Line), concealText(f.Snippet.Text)
		out.Reason = finding.Text{EN: "only the faulty line is kept", ZH: "仅保留了有问题的行"}
	default:
		out.State, out.Reason = Unavailable, finding.Text{EN: "the file is not kept: upload it again to see it", ZH: "文件未保留，重新上传后可查看"}
		return out, nil
	}
	if line < out.FirstLine {
		line = out.FirstLine
	}
	m := Mark{Line: line, Message: f.Message}
	m.EndLine = m.Line
	for i, e := range f.Evidence {
		m.Path, m.Found, m.Want = e.Path, e.Found, e.Want
		if i == 0 {
			break
		}
	}
	out.Marks = []Mark{m}
	return out, nil
}

// file is an uploaded file; "" when it is not kept.
func (r *Room) file(ctx context.Context, q Question) (string, error) {
	if r.files == nil || !q.Project {
		return "", nil
	}
	text, err := r.files(ctx, q.Target, q.Finding.Resource.File)
	if errors.Is(err, store.ErrNotFound) || len(text) > maxFile {
		return "", nil
	}
	return text, err
}

// document is the part of a file with a line: between the marks of YAML documents, when it has such.
func document(lines []string, line int) (from, to int) {
	at := min(max(line-1, 0), len(lines)-1)
	to = len(lines)
	for i, l := range lines {
		if !strings.HasPrefix(l, "---") {
			continue
		}
		if i <= at {
			from = min(i+1, len(lines)-1)
		} else {
			to = i
			break
		}
	}
	if from > at {
		from = at
	}
	return from, max(to, from+1)
}

// Fix gives what to do about a finding.
func (r *Room) Fix(ctx context.Context, q Question) (repair.Fix, error) {
	f := q.Finding
	if !q.Sees(f.Resource.Namespace) && len(f.Resource.Workloads) == 0 {
		return repair.Fix{}, store.ErrNotFound
	}
	switch {
	case f.Vulnerability != nil:
		return repair.Update(f), nil
	case f.Resource.File != "" && q.Project:
		return r.fixFile(ctx, q)
	case onImage(f), refOf(f).Kind == "", !r.shop.Mends(f):
		return r.shop.ByHand(f), nil
	}
	got, err := r.read(ctx, q, refOf(f))
	if err != nil {
		return repair.Fix{}, err
	}
	if got.object == nil {
		return repair.Fix{Reason: got.reason, Steps: repair.Steps(f)}, nil
	}
	return r.shop.Object(got.object, f), nil
}

func (r *Room) fixFile(ctx context.Context, q Question) (repair.Fix, error) {
	f := q.Finding
	text, err := r.file(ctx, q)
	if err != nil {
		return repair.Fix{}, err
	}
	if text == "" || !r.shop.Mends(f) {
		return r.shop.ByHand(f), nil
	}
	objects, _ := manifest.Parse(f.Resource.File, []byte(text), manifest.Limits{})
	for _, o := range objects {
		if o.Kind == f.Resource.Kind && o.Name == f.Resource.Name && (o.Namespace == f.Resource.Namespace || o.Namespace == "") && !o.Origin.Rendered {
			conceal(o)
			inventory.DropNulls(o.Content)
			if r.shop.Has(o, f) {
				return r.shop.Object(o, f), nil
			}
		}
	}
	return r.shop.ByHand(f), nil
}
