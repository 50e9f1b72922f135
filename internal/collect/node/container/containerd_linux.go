package container

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	namespacesapi "github.com/containerd/containerd/api/services/namespaces/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"stockade.dev/stockade/internal/collect/image/runtime"
	"stockade.dev/stockade/internal/collect/image/source"
)

// containerd asks one containerd, by the calls of its published API that read. (Views of snapshots would make new ones: what lies
// below a container is asked by the snapshot that the container has.)
type containerd struct {
	socket     string
	o          *Options
	namespaces namespacesapi.NamespacesClient
	containers containersapi.ContainersClient
	tasks      tasksapi.TasksClient
	snapshots  snapshotsapi.SnapshotsClient
	images     imagesapi.ImagesClient
	content    contentapi.ContentClient
	known      map[string]*localImage // by namespace and name
}

// mostMessage bounds one answer.
const mostMessage = 64 << 20

func dialContainerd(socket string, o *Options) (*containerd, func() error, error) {
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostMessage)))
	if err != nil {
		return nil, nil, err
	}
	return &containerd{socket: socket, o: o, namespaces: namespacesapi.NewNamespacesClient(conn), containers: containersapi.NewContainersClient(conn),
		tasks: tasksapi.NewTasksClient(conn), snapshots: snapshotsapi.NewSnapshotsClient(conn), images: imagesapi.NewImagesClient(conn),
		content: contentapi.NewContentClient(conn), known: map[string]*localImage{}}, conn.Close, nil
}

func in(ctx context.Context, namespace string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "containerd-namespace", namespace)
}

// mostNamespaces bounds the namespaces of one containerd.
const mostNamespaces = 64

// readContainerd lists what runs in one containerd, in all its namespaces.
func readContainerd(ctx context.Context, socket string, o *Options) (r answer, err error) {
	c, done, err := dialContainerd(socket, o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, done()) }()
	spaces, err := c.namespaces.List(ctx, &namespacesapi.ListNamespacesRequest{})
	if err != nil {
		return r, err
	}
	for i, ns := range spaces.Namespaces {
		if i == mostNamespaces {
			r.skip("no more than 64 namespaces in containerd", "the others were not read", "limit")
			break
		}
		if err := c.namespace(in(ctx, ns.Name), ns.Name, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

// namespace reads one namespace.
func (c *containerd) namespace(ctx context.Context, name string, r *answer) error {
	list, err := c.tasks.List(ctx, &tasksapi.ListTasksRequest{})
	if err != nil {
		return err
	}
	running := map[string]*task.Process{}
	for _, t := range list.Tasks {
		if t.Status == task.Status_RUNNING || t.Status == task.Status_PAUSED || t.Status == task.Status_PAUSING {
			running[t.ID] = t
		}
	}
	stream, err := c.containers.ListStream(ctx, &containersapi.ListContainersRequest{})
	if err != nil {
		return err
	}
	var records []*containersapi.Container
	sandboxes := map[string]sandboxMeta{}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		record := m.GetContainer()
		if record == nil || running[record.ID] == nil {
			continue
		}
		if record.Labels["io.cri-containerd.kind"] == "sandbox" {
			var meta struct{ Metadata sandboxMeta }
			_ = json.Unmarshal(record.Extensions["io.cri-containerd.sandbox.metadata"].GetValue(), &meta) // best effort: it says little that is needed
			sandboxes[record.ID] = meta.Metadata
			r.sandboxes = append(r.sandboxes, sandbox{id: record.ID, pid: int(running[record.ID].Pid)})
			continue
		}
		if len(r.list)+len(records) == c.o.Limits.Containers {
			r.skip("no more than "+itoa(c.o.Limits.Containers)+" running containers", "the others were not read", "limit")
			break
		}
		record.Spec = nil // has the environment; nothing of it is needed
		records = append(records, record)
	}
	for _, record := range records {
		r.list = append(r.list, c.container(ctx, name, record, int(running[record.ID].Pid), sandboxes, r))
	}
	return nil
}

// sandboxMeta is what is read of a pod's sandbox.
type sandboxMeta struct {
	RuntimeHandler string
	Config         struct {
		Annotations map[string]string `json:"annotations"`
	}
}

// containerMeta is what is read of a container's record of the CRI plug-in.
type containerMeta struct {
	SandboxID string
	ImageRef  string
	Config    struct {
		Image struct {
			Image  string `json:"image"`
			Asked  string `json:"user_specified_image"`
			Handle string `json:"runtime_handler"`
		} `json:"image"`
	}
}

func (c *containerd) container(ctx context.Context, namespace string, record *containersapi.Container, pid int, sandboxes map[string]sandboxMeta, r *answer) *found {
	var meta struct{ Metadata containerMeta }
	_ = json.Unmarshal(record.Extensions["io.cri-containerd.container.metadata"].GetValue(), &meta) // only the CRI plug-in writes it
	f := &found{pid: pid, sandbox: meta.Metadata.SandboxID, snapshotter: record.Snapshotter, podUID: record.Labels["io.kubernetes.pod.uid"]}
	f.ID, f.Runtime = record.ID, "containerd"
	if namespace == "moby" {
		f.Runtime = "docker"
	}
	f.Namespace, f.Pod, f.Container = clean(record.Labels["io.kubernetes.pod.namespace"]), clean(record.Labels["io.kubernetes.pod.name"]), clean(record.Labels["io.kubernetes.container.name"])
	if f.Container == "" {
		f.Container = clean(record.ID)
		if n := record.Labels["nerdctl/name"]; n != "" {
			f.Container = clean(n)
		}
	}
	box := sandboxes[f.sandbox]
	f.Static = slices.Contains([]string{"file", "http"}, box.Config.Annotations["kubernetes.io/config.source"])
	f.Handler = handler(record.GetRuntime().GetName())
	f.virtual = f.Handler == "kata" || f.Handler == "runsc"
	f.Image = record.Image
	if asked := meta.Metadata.Config.Image.Asked; asked != "" {
		f.Image = asked
	} else if asked := meta.Metadata.Config.Image.Image; asked != "" && !strings.HasPrefix(asked, "sha256:") {
		f.Image = asked
	}
	f.Image = clean(f.Image)
	if record.SnapshotKey != "" {
		m, err := c.snapshots.Mounts(ctx, &snapshotsapi.MountsRequest{Snapshotter: record.Snapshotter, Key: record.SnapshotKey})
		if err == nil {
			for _, mount := range m.Mounts {
				if mount.Type == "overlay" {
					f.upper, f.lower = overlayFolders(mount.Options)
				}
			}
		}
	}
	img := c.ran(ctx, namespace, record, meta.Metadata.ImageRef, r)
	if img == nil {
		if id := meta.Metadata.ImageRef; strings.HasPrefix(id, "sha256:") {
			f.ImageID = id
		}
		return f
	}
	f.Digest, f.ImageID, f.Local = img.digest, img.config, img.local
	f.open = c.opener(namespace, img, f)
	return f
}

// handler shortens a runtime's name: "io.containerd.runc.v2" is runc.
func handler(name string) string {
	if parts := strings.Split(name, "."); len(parts) >= 4 && parts[0] == "io" {
		return parts[2]
	}
	return clean(path.Base(name))
}

// localImage is an image of containerd's store.
type localImage struct {
	name, digest, config string
	chain                string // of its layers: the name of the snapshot that containers are made of
	local                bool
}

// ran is the image that a container was made of in truth: the one whose layers are the parent of the container's snapshot. Its
// names may be on another image by now.
func (c *containerd) ran(ctx context.Context, namespace string, record *containersapi.Container, config string, r *answer) *localImage {
	var parent string
	if record.SnapshotKey != "" {
		if s, err := c.snapshots.Stat(ctx, &snapshotsapi.StatSnapshotRequest{Snapshotter: record.Snapshotter, Key: record.SnapshotKey}); err == nil {
			parent = s.GetInfo().GetParent()
		}
	}
	fits := func(img *localImage) bool { return img != nil && (parent == "" || img.chain == parent) }
	for _, name := range []string{config, record.Image} {
		if name == "" {
			continue
		}
		if img := c.image(ctx, namespace, name); fits(img) && (config == "" || !strings.HasPrefix(config, "sha256:") || img.config == config || name == record.Image) {
			return img
		}
	}
	if parent == "" {
		return nil
	}
	names, err := c.names(ctx)
	if err != nil {
		r.skip("the images of containerd", err.Error(), "unreachable")
		return nil
	}
	for _, name := range names {
		if img := c.image(ctx, namespace, name); fits(img) {
			return img
		}
	}
	return nil
}

// mostImages bounds the images of a node that are looked through.
const mostImages = 2000

func (c *containerd) names(ctx context.Context) ([]string, error) {
	list, err := c.images.List(ctx, &imagesapi.ListImagesRequest{})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, i := range list.Images {
		if len(out) < mostImages {
			out = append(out, i.Name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// image reads what an image is called in truth; nil when there is none of this name, or when its documents are gone.
func (c *containerd) image(ctx context.Context, namespace, name string) *localImage {
	key := namespace + "\x00" + name
	if img, known := c.known[key]; known {
		return img
	}
	c.known[key] = nil
	opened, err := runtime.Containerd(ctx, name, c.options(namespace))
	if err != nil {
		return nil
	}
	defer opened.Close()
	img := &localImage{name: name, digest: opened.Info.Digest, config: opened.Info.ConfigID, chain: chainOf(opened.Layers)}
	img.local = c.fromNowhere(ctx, opened.Info.Index, opened.Info.Digest, opened.Info.ConfigID)
	c.known[key] = img
	return img
}

func (c *containerd) options(namespace string) runtime.Options {
	o := c.o.Images.Runtime
	o.ContainerdSocket, o.Namespace = c.socket, namespace
	return o
}

// fromNowhere reports whether no registry gave an image: containerd writes on every blob that it pulled where it came from.
func (c *containerd) fromNowhere(ctx context.Context, digests ...string) bool {
	seen := false
	for _, d := range digests {
		if d == "" {
			continue
		}
		info, err := c.content.Info(ctx, &contentapi.InfoRequest{Digest: d})
		if status.Code(err) == codes.NotFound {
			continue
		}
		if err != nil {
			return false // not known
		}
		seen = true
		for label := range info.GetInfo().GetLabels() {
			if strings.HasPrefix(label, "containerd.io/distribution.source.") {
				return false
			}
		}
	}
	return seen
}

// chainOf names a pile of layers as the image specification does (ChainID).
func chainOf(layers []source.Layer) string {
	chain := ""
	for _, l := range layers {
		if l.DiffID == "" {
			return ""
		}
		if chain == "" {
			chain = l.DiffID
			continue
		}
		sum := sha256.Sum256([]byte(chain + " " + l.DiffID))
		chain = "sha256:" + hex.EncodeToString(sum[:])
	}
	return chain
}

// opener opens the image of a container for the inventory engine. Layers whose blobs the runtime dropped after unpacking are read
// from the folders below the container.
func (c *containerd) opener(namespace string, img *localImage, f *found) func(ctx context.Context) (*source.Image, error) {
	o, name := c.options(namespace), img.name
	root, lower := c.o.Root, f.lower
	return func(ctx context.Context) (*source.Image, error) {
		opened, err := runtime.Containerd(ctx, name, o)
		if err != nil {
			return nil, err
		}
		fromFolders(opened, root, lower)
		return opened, nil
	}
}

// fromFolders gives the layers that have no blob the folders in which they lie unpacked, topmost first in lower.
func fromFolders(img *source.Image, root string, lower []string) {
	if len(lower) != len(img.Layers) {
		return
	}
	for i := range img.Layers {
		l := &img.Layers[i]
		p := lower[len(lower)-1-i]
		if l.Unread == "" && l.Open != nil || !path.IsAbs(p) {
			continue
		}
		at, err := onNode(root, p)
		if err != nil {
			continue
		}
		l.Open, l.Unread, l.Code, l.Dir = nil, "", "", at
	}
}

// find opens an image that need not run, by the digest of its configuration or manifest, or by its name.
func (c *containerd) find(ctx context.Context, want string) (func(ctx context.Context) (*source.Image, error), error) {
	spaces, err := c.namespaces.List(ctx, &namespacesapi.ListNamespacesRequest{})
	if err != nil {
		return nil, err
	}
	for _, ns := range spaces.Namespaces[:min(len(spaces.Namespaces), mostNamespaces)] {
		nctx := in(ctx, ns.Name)
		if img := c.image(nctx, ns.Name, want); img != nil {
			return c.opener(ns.Name, img, &found{}), nil
		}
		if !strings.HasPrefix(want, "sha256:") {
			continue
		}
		names, err := c.names(nctx)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if img := c.image(nctx, ns.Name, name); img != nil && (img.config == want || img.digest == want) {
				return c.opener(ns.Name, img, &found{}), nil
			}
		}
	}
	return nil, nil
}
