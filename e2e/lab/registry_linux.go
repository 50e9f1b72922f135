package lab

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	containers "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// registry serves images over plain HTTP at [RegistryHost]. The node's containerd
// asks it for every image that it does not have, whatever host the name says.
type registry struct{ server *http.Server }

func (n *Node) openRegistry() (*registry, error) {
	listener, err := n.Listen(RegistryHost)
	if err != nil {
		return nil, err
	}
	r := &registry{&http.Server{Handler: containers.New(containers.Logger(log.New(io.Discard, "", 0))), ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = r.server.Serve(listener) }()
	return r, nil
}

func (r *registry) close() { _ = r.server.Close() }

// Push puts an image into the node's registry as "path:tag" and returns its
// digest. Pods name it with any host before it: [RegistryHost] where others than
// containerd ask for it too, or one such as registry.example.com.
func (n *Node) Push(tb testing.TB, ref string, img v1.Image) string {
	tb.Helper()
	tag, err := name.NewTag(RegistryHost+"/"+ref, name.Insecure)
	if err != nil {
		tb.Fatal(err)
	}
	if err := remote.Write(tag, img, remote.WithTransport(n.transport()), remote.WithContext(tb.Context())); err != nil {
		tb.Fatalf("push %s: %v", ref, err)
	}
	digest, err := img.Digest()
	if err != nil {
		tb.Fatal(err)
	}
	return digest.String()
}

// LoadImage puts an image into the node's containerd, under its whole name, with
// the registry left aside.
func (n *Node) LoadImage(tb testing.TB, ref string, image Image) {
	tb.Helper()
	archive, err := os.CreateTemp(n.Dir(), "image-*.tar")
	if err != nil {
		tb.Fatal(err)
	}
	archive.Close()
	defer os.Remove(archive.Name())
	if err := image.archive(ref, archive.Name()); err != nil {
		tb.Fatalf("pack %s: %v", ref, err)
	}
	if err := n.importArchive(tb.Context(), archive.Name()); err != nil {
		tb.Fatalf("load %s: %v", ref, err)
	}
}

// LoadGatekeeperImage puts [GatekeeperImage] into containerd and nothing into the
// cluster: for tests whose subject installs it.
func (n *Node) LoadGatekeeperImage(tb testing.TB) {
	tb.Helper()
	parts, err := partsOfGatekeeper(tb.Context())
	if err == nil {
		err = n.importArchive(tb.Context(), parts.image)
	}
	if err != nil {
		tb.Fatalf("load Gatekeeper's image: %v", err)
	}
}

func (n *Node) importArchive(ctx context.Context, archive string) error {
	if _, err := n.Exec(ctx, "ctr", "-n", "k8s.io", "images", "import", archive); err != nil {
		return fmt.Errorf("import %s: %w", archive, err)
	}
	return nil
}

// StaticPod gives the kubelet a pod that no API server was asked for, until the
// test ends.
func (n *Node) StaticPod(tb testing.TB, name, yaml string) {
	tb.Helper()
	path := n.file("static-pods/" + name + ".yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o644); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.Remove(path) })
}
