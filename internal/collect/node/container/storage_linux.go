package container

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/collect/image/runtime"
	"stockade.dev/stockade/internal/collect/image/source"
)

// mostDocument bounds a JSON document of a runtime's folders.
const mostDocument = 16 << 20

// stored is a container in containers/storage.
type stored struct {
	ID    string   `json:"id"`
	Names []string `json:"names"`
	Image string   `json:"image"` // id
	Layer string   `json:"layer"` // the writable one
}

// storedState is what CRI-O keeps of a container beside it (state.json).
type storedState struct {
	Status      string            `json:"status"`
	Pid         int               `json:"pid"`
	InitPid     int               `json:"initPid"`
	InitStart   json.RawMessage   `json:"initStartTime"` // a string, in old versions a number
	Annotations map[string]string `json:"annotations"`
}

// readStorage lists what runs of CRI-O and Podman, from the folders in which they keep their containers: no socket is needed, and
// CRI-O's would give rights that reading does not need.
func readStorage(ctx context.Context, dir string, o *Options) (r answer, err error) {
	var all []stored
	found := false
	for _, name := range []string{"containers.json", "volatile-containers.json"} {
		var some []stored
		switch err := readJSON(o.Root, path.Join(dir, "overlay-containers", name), &some); {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return r, err
		}
		found = true
		all = append(all, some...)
	}
	if !found {
		return r, fs.ErrNotExist
	}
	var images []struct {
		ID     string   `json:"id"`
		Digest string   `json:"digest"`
		Names  []string `json:"names"`
		Before []string `json:"names-history"` // names that are on other images by now
	}
	if err := readJSON(o.Root, path.Join(dir, "overlay-images/images.json"), &images); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.skip("the images of "+dir, err.Error(), "broken")
	}
	for _, c := range all {
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if !hexID(c.ID) || c.Layer != "" && !hexID(c.Layer) {
			r.skip("the folder "+dir, "a container has no id", "broken")
			continue
		}
		var s storedState
		if err := readJSON(o.Root, path.Join(dir, "overlay-containers", c.ID, "userdata/state.json"), &s); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.skip("the folder "+dir, clean(err.Error()), "broken")
		}
		if s.Status == "stopped" {
			continue
		}
		pid := s.InitPid
		if pid == 0 {
			pid = s.Pid
		}
		start := strings.Trim(string(s.InitStart), `"`)
		if s.Annotations["io.kubernetes.cri-o.ContainerType"] == "sandbox" {
			r.sandboxes = append(r.sandboxes, sandbox{id: c.ID, pid: pid, start: start})
			continue
		}
		if len(r.list) == 4*o.Limits.Containers { // many of them have ended
			r.skip("no more than "+itoa(4*o.Limits.Containers)+" containers in "+dir, "the others were not read", "limit")
			break
		}
		f := storedContainer(dir, &c, &s)
		f.pid, f.start, f.mayBeOver = pid, start, true
		if box := f.sandbox; hexID(box) {
			var of storedState
			if readJSON(o.Root, path.Join(dir, "overlay-containers", box, "userdata/state.json"), &of) == nil {
				f.Static = of.Annotations["kubernetes.io/config.source"] == "file"
			}
		}
		for _, img := range images {
			if img.ID != c.Image {
				continue
			}
			f.Digest, f.Local = clean(img.Digest), true
			for _, n := range slices.Concat(img.Names, img.Before) {
				f.Local = f.Local && strings.HasPrefix(n, "localhost/")
			}
			if f.Image == "" && len(img.Names) > 0 {
				f.Image = clean(img.Names[0])
			}
		}
		f.open = storageOpener(dir, c.Image, o)
		r.list = append(r.list, f)
	}
	return r, nil
}

func storedContainer(dir string, c *stored, s *storedState) *found {
	a := s.Annotations
	f := &found{podUID: a["io.kubernetes.pod.uid"], sandbox: a["io.kubernetes.cri-o.SandboxID"], snapshotter: "overlay"}
	f.ID, f.Runtime, f.Handler = c.ID, "cri-o", clean(a["io.kubernetes.cri-o.RuntimeHandler"])
	f.virtual = strings.HasPrefix(f.Handler, "kata")
	f.Namespace, f.Pod, f.Container = clean(a["io.kubernetes.pod.namespace"]), clean(a["io.kubernetes.pod.name"]), clean(a["io.kubernetes.container.name"])
	if f.Pod == "" {
		f.Runtime = "podman"
		f.Container = c.ID
		if len(c.Names) > 0 {
			f.Container = clean(c.Names[0])
		}
	}
	f.Image = clean(a["io.kubernetes.cri-o.ImageName"])
	if asked := a["io.kubernetes.cri-o.Image"]; asked != "" && !hexID(asked) { // newer versions: as the pod asks for it
		f.Image = clean(asked)
	}
	if hexID(c.Image) {
		f.ImageID = "sha256:" + c.Image
	}
	if c.Layer != "" {
		f.upper = path.Join(dir, "overlay", c.Layer, "diff")
	}
	f.layers = storageLayers(dir, c.Layer)
	return f
}

// storageLayers names the folders below a writable layer, topmost first; they are read when they are needed.
func storageLayers(dir, top string) func(root string) []string {
	return func(root string) []string {
		type entry struct {
			ID     string `json:"id"`
			Parent string `json:"parent"`
		}
		parents := map[string]string{}
		for _, name := range []string{"layers.json", "volatile-layers.json"} {
			var some []entry
			if readJSON(root, path.Join(dir, "overlay-layers", name), &some) == nil {
				for _, e := range some {
					parents[e.ID] = e.Parent
				}
			}
		}
		var out []string
		for id := parents[top]; hexID(id) && len(out) < source.MaxLayers; id = parents[id] {
			out = append(out, path.Join(dir, "overlay", id, "diff"))
		}
		return out
	}
}

func storageOpener(dir, id string, o *Options) func(ctx context.Context) (*source.Image, error) {
	ro := o.Images.Runtime
	root := o.Root
	return func(ctx context.Context) (*source.Image, error) {
		at, err := onNode(root, dir)
		if err != nil {
			return nil, err
		}
		ro.StorageRoot = at
		return runtime.CRIO(ctx, id, ro)
	}
}

// readJSON reads a document of the node.
func readJSON(root, p string, into any) error {
	data, err := document(root, p, mostDocument)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return errors.Join(errGarbage, err)
	}
	return nil
}
