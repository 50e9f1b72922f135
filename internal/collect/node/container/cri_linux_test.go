package container

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"

	"stockade.dev/stockade/internal/inventory"
)

const pauseName = "registry.example.com/pause:1"

// message is a protobuf message by the numbers of its fields. The Go types of the CRI are no dependency of this module, and three
// calls of a test are no reason to make them one.
type message []byte

func (m message) text(number protowire.Number, s string) message {
	return protowire.AppendString(protowire.AppendTag(m, number, protowire.BytesType), s)
}

func (m message) sub(number protowire.Number, s message) message {
	return protowire.AppendBytes(protowire.AppendTag(m, number, protowire.BytesType), s)
}

func (m message) number(number protowire.Number, v uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, number, protowire.VarintType), v)
}

func (m message) labels(number protowire.Number, pairs ...string) message {
	for i := 0; i < len(pairs); i += 2 {
		m = m.sub(number, message(nil).text(1, pairs[i]).text(2, pairs[i+1]))
	}
	return m
}

// plain passes messages as they are.
type plain struct{}

func (plain) Name() string                    { return "proto" }
func (plain) Marshal(v any) ([]byte, error)   { return *v.(*message), nil }
func (plain) Unmarshal(b []byte, v any) error { *v.(*message) = slices.Clone(b); return nil }

// call returns the first field of the answer, which is an id.
func call(t *testing.T, conn *grpc.ClientConn, method string, m message) string {
	t.Helper()
	var out message
	if err := conn.Invoke(t.Context(), "/runtime.v1.RuntimeService/"+method, &m, &out, grpc.ForceCodec(plain{})); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	number, _, n := protowire.ConsumeTag(out)
	if n < 0 || number != 1 {
		return ""
	}
	id, _ := protowire.ConsumeString(out[n:])
	return id
}

// TestCRI reads a pod that containerd's CRI plug-in made, as the kubelet asks for it: a static one, in the node's network.
func TestCRI(t *testing.T) {
	if err := possible(); err != nil {
		t.Logf("no real containers here, the other tests stand alone: %v", err)
		return
	}
	n := startNode(t, true)
	program, err := waiter()
	if err != nil {
		t.Fatal(err)
	}
	n.importWith(pauseName, v1.Config{Entrypoint: []string{"/pause"}}, layerOf(t, map[string]string{"pause": string(program)}))
	img := n.importImage(imageName, layerOf(t, map[string]string{"bin/app": string(program), "etc/os-release": "ID=debian\nVERSION_ID=12\n"}))
	config, _ := img.ConfigName()
	digest := n.digestOf(imageName)
	conn, err := grpc.NewClient("unix://"+n.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	n.until("the image in the CRI plug-in", func() bool { // it hears of images by events
		var out message
		ask := message(nil).sub(1, message(nil).text(1, config.String()))
		return conn.Invoke(t.Context(), "/runtime.v1.ImageService/ImageStatus", &ask, &out, grpc.ForceCodec(plain{})) == nil && len(out) > 4
	})
	const uid = "11111111-2222-3333-4444-555555555555"
	volumes := filepath.Join(n.dir, "kubelet/pods", uid, "volumes/data")
	other := filepath.Join(n.dir, "other")
	for _, dir := range []string{volumes, other} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	hostNetwork := message(nil).sub(1, message(nil).number(1, 2))
	pod := message(nil).sub(1, message(nil).text(1, "till").text(2, uid).text(3, "shop")).
		labels(6, "io.kubernetes.pod.name", "till", "io.kubernetes.pod.namespace", "shop", "io.kubernetes.pod.uid", uid).
		labels(7, "kubernetes.io/config.source", "file").
		sub(8, message(nil).text(1, "/kubepods/pod"+uid).sub(2, hostNetwork))
	box := call(t, conn, "RunPodSandbox", message(nil).sub(1, pod))
	defer func() {
		call(t, conn, "StopPodSandbox", message(nil).text(1, box))
		call(t, conn, "RemovePodSandbox", message(nil).text(1, box))
	}()
	container := message(nil).sub(1, message(nil).text(1, "app")).
		sub(2, message(nil).text(1, config.String()).text(18, imageName)).
		text(3, "/bin/app").
		sub(7, message(nil).text(1, "/data").text(2, volumes)).
		sub(7, message(nil).text(1, "/other").text(2, other)).
		labels(9, "io.kubernetes.pod.name", "till", "io.kubernetes.pod.namespace", "shop", "io.kubernetes.container.name", "app", "io.kubernetes.pod.uid", uid).
		sub(15, message(nil).sub(2, message(nil).sub(3, message(nil).number(1, 2))))
	made := call(t, conn, "CreateContainer", message(nil).text(1, box).sub(2, container).sub(3, pod))
	call(t, conn, "StartContainer", message(nil).text(1, made))

	check := func(o Options, image bool) {
		t.Helper()
		list, skips := Read(t.Context(), o)
		if slices.ContainsFunc(list, func(c inventory.ContainerFact) bool { return c.ID == box }) {
			t.Error("the pod's sandbox is taken for a container")
		}
		c := find(t, list, made)
		if c.Namespace != "shop" || c.Pod != "till" || c.Container != "app" || c.Runtime != "containerd" || !c.HostNet || c.HostPID || len(c.Processes) != 1 || c.Processes[0].Exe != "/bin/app" || len(c.Drift) > 0 {
			t.Errorf("%+v %+v", c, skips)
		}
		if image && (c.Digest != digest || c.ImageID != config.String() || !c.Local || !c.Static || c.Handler != "runc" || c.Image != imageName) {
			t.Errorf("%+v, want %s %s", c, digest, config)
		}
		if len(c.Mounts) != 1 || c.Mounts[0].Path != "/other" || c.Mounts[0].Source != other {
			t.Errorf("%+v", c.Mounts)
		}
	}
	check(n.options(), true)
	// Without an answer: by the bundles of containerd, which are copied to where they are on a node.
	root, state := t.TempDir(), "io.containerd.runtime.v2.task/k8s.io"
	for _, id := range []string{box, made} {
		for _, name := range []string{"config.json", "init.pid"} {
			data, err := os.ReadFile(filepath.Join(n.dir, "state", state, id, name))
			if err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(root, "run/containerd", state, id, name), string(data))
		}
	}
	check(Options{Root: root, Sockets: Sockets{Containerd: []string{}, Docker: []string{}, Storage: []string{}}, NoDrift: true}, false)
}
