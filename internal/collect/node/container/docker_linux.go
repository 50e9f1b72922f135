package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"stockade.dev/stockade/internal/collect/image/runtime"
	"stockade.dev/stockade/internal/collect/image/source"
)

// docker asks one Docker daemon by GET requests, which change nothing. Its socket would allow everything: nothing else is ever sent.
type docker struct {
	client *http.Client
	socket string
	o      *Options
}

func dialDocker(socket string, o *Options) *docker {
	return &docker{socket: socket, o: o, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableCompression: true, MaxResponseHeaderBytes: 64 << 10, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "unix", socket)
		}}}}
}

// get reads one bounded document.
func (d *docker) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, mostMessage+1))
	if err != nil {
		return err
	}
	if len(data) > mostMessage {
		return fmt.Errorf("%s: more than %d bytes", path, mostMessage)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, errors.Join(errGarbage, err))
	}
	return nil
}

func escaped(name string) string { return (&url.URL{Path: name}).EscapedPath() }

var errGarbage = errors.New("the answer cannot be understood")

type dockerContainer struct {
	ID    string `json:"Id"`
	Name  string
	Image string // id of the image
	State struct {
		Pid     int
		Running bool
	}
	HostConfig struct {
		Runtime        string
		ReadonlyRootfs bool
	}
	Config struct {
		Image  string // as it was asked for
		Labels map[string]string
	}
	GraphDriver struct {
		Name string
		Data map[string]string
	}
	ImageManifestDescriptor *struct {
		Digest string `json:"digest"`
	}
}

type dockerImage struct {
	ID           string `json:"Id"`
	RepoDigests  []string
	Architecture string
	Os           string
	Config       struct {
		User       string
		Env        []string
		Cmd        []string
		Entrypoint []string
		Labels     map[string]string
	}
	RootFS      struct{ Layers []string }
	GraphDriver struct {
		Name string
		Data map[string]string
	}
}

func readDocker(ctx context.Context, socket string, o *Options) (r answer, err error) {
	d := dialDocker(socket, o)
	defer d.client.CloseIdleConnections()
	var list []struct {
		ID     string `json:"Id"`
		Labels map[string]string
	}
	if err := d.get(ctx, "/containers/json", &list); err != nil {
		return r, err
	}
	images := map[string]*dockerImage{}
	for _, short := range list {
		if len(r.list) == o.Limits.Containers {
			r.skip("no more than "+itoa(o.Limits.Containers)+" running containers", "the others were not read", "limit")
			break
		}
		if !hexID(short.ID) {
			r.skip("the Docker daemon", "a container has no id", "broken")
			continue
		}
		var c dockerContainer
		if err := d.get(ctx, "/containers/"+short.ID+"/json", &c); err != nil {
			if ctx.Err() != nil {
				return r, err
			}
			continue // ended meanwhile
		}
		if !c.State.Running || c.ID != short.ID {
			continue
		}
		if c.Config.Labels["io.kubernetes.docker.type"] == "podsandbox" {
			r.sandboxes = append(r.sandboxes, sandbox{id: c.ID, pid: c.State.Pid})
			continue
		}
		img, known := images[c.Image]
		if !known {
			img = &dockerImage{}
			if d.get(ctx, "/images/"+escaped(c.Image)+"/json", img) != nil {
				img = nil
			}
			images[c.Image] = img
		}
		r.list = append(r.list, d.container(&c, img))
	}
	return r, nil
}

func (d *docker) container(c *dockerContainer, img *dockerImage) *found {
	labels := c.Config.Labels
	f := &found{pid: c.State.Pid, podUID: labels["io.kubernetes.pod.uid"], sandbox: labels["io.kubernetes.sandbox.id"], snapshotter: c.GraphDriver.Name}
	f.ID, f.Runtime, f.Handler, f.ReadOnly = c.ID, "docker", clean(c.HostConfig.Runtime), c.HostConfig.ReadonlyRootfs
	f.virtual = strings.HasPrefix(f.Handler, "kata") || f.Handler == "runsc"
	f.Namespace, f.Pod, f.Container = clean(labels["io.kubernetes.pod.namespace"]), clean(labels["io.kubernetes.pod.name"]), clean(labels["io.kubernetes.container.name"])
	if f.Container == "" {
		f.Container = clean(strings.TrimPrefix(c.Name, "/"))
	}
	f.Static = labels["annotation.kubernetes.io/config.source"] == "file"
	f.Image, f.ImageID = clean(c.Config.Image), clean(c.Image)
	f.upper, f.lower = graph(c.GraphDriver.Name, c.GraphDriver.Data)
	if c.ImageManifestDescriptor != nil {
		f.Digest = clean(c.ImageManifestDescriptor.Digest)
	}
	if img == nil {
		return f
	}
	f.Local = len(img.RepoDigests) == 0
	for _, name := range img.RepoDigests {
		if repo, digest, ok := strings.Cut(name, "@"); ok && (f.Digest == "" || strings.HasPrefix(c.Config.Image, repo)) && c.ImageManifestDescriptor == nil {
			f.Digest = clean(digest)
		}
	}
	f.open = d.opener(img, f.Image, f.Digest)
	return f
}

// graph returns the folders that Docker's storage driver names. The upper one of a container has its start-up files below it in a
// layer of its own, "-init".
func graph(driver string, data map[string]string) (upper string, lower []string) {
	if driver != "overlay2" && driver != "overlay" {
		return "", nil
	}
	for l := range strings.SplitSeq(data["LowerDir"], ":") {
		if l != "" {
			lower = append(lower, l)
		}
	}
	return data["UpperDir"], lower
}

// opener opens an image for the inventory engine: from the folders of the overlay driver, or else as the daemon saves it.
func (d *docker) opener(img *dockerImage, ref, digest string) func(ctx context.Context) (*source.Image, error) {
	root, o := d.o.Root, d.o.Images.Runtime
	o.DockerSocket = d.socket
	return func(ctx context.Context) (*source.Image, error) {
		upper, lower := graph(img.GraphDriver.Name, img.GraphDriver.Data)
		if upper == "" || len(lower)+1 != len(img.RootFS.Layers) {
			return runtime.Docker(ctx, img.ID, o)
		}
		out := &source.Image{Kind: source.KindImage, Name: "docker:" + ref}
		out.Info.Reference, out.Info.Digest, out.Info.ConfigID = ref, digest, img.ID
		out.Info.Platform = img.Os + "/" + img.Architecture
		out.Info.User, out.Info.Env, out.Info.Cmd, out.Info.Entry, out.Info.Labels = img.Config.User, img.Config.Env, img.Config.Cmd, img.Config.Entrypoint, img.Config.Labels
		for _, diff := range img.RootFS.Layers {
			l := source.Layer{Unread: "its folder is not on this node", Code: "unreachable"}
			l.DiffID = diff
			out.Layers = append(out.Layers, l)
		}
		fromFolders(out, root, append([]string{upper}, lower...))
		return out, nil
	}
}

// find opens an image that need not run.
func (d *docker) find(ctx context.Context, want string) (func(ctx context.Context) (*source.Image, error), error) {
	var img dockerImage
	if err := d.get(ctx, "/images/"+escaped(want)+"/json", &img); err != nil {
		return nil, nil // it has no such image
	}
	digest := ""
	for _, name := range img.RepoDigests {
		_, digest, _ = strings.Cut(name, "@")
	}
	return d.opener(&img, want, digest), nil
}
