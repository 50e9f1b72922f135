package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	containerdtypes "github.com/containerd/containerd/api/types"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// store has what the two services of containerd give that are asked.
type store struct {
	blobs  map[string][]byte
	target *containerdtypes.Descriptor
}

type imageService struct {
	imagesapi.UnimplementedImagesServer
	*store
}

type contentService struct {
	contentapi.UnimplementedContentServer
	*store
}

func (s imageService) Get(ctx context.Context, r *imagesapi.GetImageRequest) (*imagesapi.GetImageResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if ns := md.Get(namespaceHeader); len(ns) != 1 || ns[0] != "k8s.io" || r.Name != "docker.io/library/till:1.0" {
		return nil, status.Error(codes.NotFound, "not found")
	}
	return &imagesapi.GetImageResponse{Image: &imagesapi.Image{Name: r.Name, Target: s.target}}, nil
}

func (s contentService) Info(_ context.Context, r *contentapi.InfoRequest) (*contentapi.InfoResponse, error) {
	data, ok := s.blobs[r.Digest]
	if !ok {
		return nil, status.Error(codes.NotFound, "not found")
	}
	return &contentapi.InfoResponse{Info: &contentapi.Info{Digest: r.Digest, Size: int64(len(data))}}, nil
}

func (s contentService) Read(r *contentapi.ReadContentRequest, to contentapi.Content_ReadServer) error {
	for data := s.blobs[r.Digest]; len(data) > 0; {
		n := min(len(data), 1000)
		if err := to.Send(&contentapi.ReadContentResponse{Data: data[:n]}); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sock") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return l, path
}

func TestContainerd(t *testing.T) {
	want, err := random.Image(5000, 3)
	if err != nil {
		t.Fatal(err)
	}
	s := &store{blobs: map[string][]byte{}}
	raw, _ := want.RawManifest()
	digest, _ := want.Digest()
	s.blobs[digest.String()] = raw
	s.target = &containerdtypes.Descriptor{Digest: digest.String(), Size: int64(len(raw)), MediaType: "application/vnd.oci.image.manifest.v1+json"}
	config, _ := want.RawConfigFile()
	id, _ := want.ConfigName()
	s.blobs[id.String()] = config
	layers, _ := want.Layers()
	for _, l := range layers[:2] { // the third was dropped after unpacking
		r, _ := l.Compressed()
		h, _ := l.Digest()
		s.blobs[h.String()], _ = io.ReadAll(r)
	}
	listener, path := listen(t)
	server := grpc.NewServer()
	imagesapi.RegisterImagesServer(server, imageService{store: s})
	contentapi.RegisterContentServer(server, contentService{store: s})
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	img, err := Containerd(t.Context(), "till:1.0", Options{ContainerdSocket: path})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if img.Info.Digest != digest.String() || len(img.Layers) != 3 || img.Layers[2].Code != "unreachable" {
		t.Fatalf("%+v %+v", img.Info, img.Layers)
	}
	for _, l := range img.Layers[:2] {
		r, err := l.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if h, n, err := v1.SHA256(r); err != nil || h.String() != l.Digest || n != l.Size {
			t.Errorf("%s %d %v", h, n, err)
		}
		_ = r.Close()
	}
	if _, err := Containerd(t.Context(), "other:1.0", Options{ContainerdSocket: path}); err == nil || !strings.Contains(err.Error(), `"k8s.io"`) {
		t.Errorf("%v", err)
	}
	if _, err := Containerd(t.Context(), "till:1.0", Options{ContainerdSocket: path + ".none"}); err == nil {
		t.Error("no socket, no error")
	}
}

func TestDocker(t *testing.T) {
	want, err := random.Image(5000, 2)
	if err != nil {
		t.Fatal(err)
	}
	tag, _ := name.NewTag("registry.example.com/shop/till:1.0")
	var saved bytes.Buffer
	if err := tarball.Write(tag, want, &saved); err != nil {
		t.Fatal(err)
	}
	const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	listener, path := listen(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/images/registry.example.com/shop/till:1.0/json":
			_, _ = fmt.Fprintf(w, `{"Id":"x","RepoDigests":["registry.example.com/shop/till@%s"]}`, digest)
		case "/images/registry.example.com/shop/till:1.0/get":
			_, _ = w.Write(saved.Bytes())
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"message":"No such image"}`)
		}
	}))
	s.Listener = listener
	s.Start()
	defer s.Close()
	temp := t.TempDir()
	img, err := Docker(t.Context(), tag.String(), Options{DockerSocket: path, TempDir: temp})
	if err != nil {
		t.Fatal(err)
	}
	if len(img.Layers) != 2 || img.Info.Digest != digest || img.Info.Reference != tag.String() {
		t.Errorf("%+v", img.Info)
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := Docker(t.Context(), "none:1", Options{DockerSocket: path}); err == nil || !strings.Contains(err.Error(), "No such image") {
		t.Errorf("%v", err)
	}
	if _, err := Docker(t.Context(), tag.String(), Options{DockerSocket: path, TempDir: temp, MaxBytes: 100}); err == nil {
		t.Error("over the limit, no error")
	}
}

func TestCRIO(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, v any) {
		t.Helper()
		p := filepath.Join(dir, name)
		data, ok := v.([]byte)
		if !ok {
			data, _ = json.Marshal(v)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	id := strings.Repeat("ab", 32)
	diff := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
	put("overlay-images/images.json", []storedImage{{ID: id, Digest: diff("9"), Names: []string{"docker.io/library/till:1.0"}, Layer: "top"}})
	put("overlay-layers/layers.json", []storedLayer{{ID: "top", Parent: "base", Diff: diff("2")}, {ID: "base", Diff: diff("1")}, {ID: "loop", Parent: "loop"}})
	// "=" and the base64 of "sha256:abab...".
	put("overlay-images/"+id+"/"+dataName("sha256:"+id), []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["`+diff("1")+`","`+diff("2")+`"]}}`))
	put("overlay/base/diff/etc/os-release", []byte("ID=x"))
	put("overlay/top/diff/x", []byte("x"))
	for _, ref := range []string{"till:1.0", "docker.io/library/till:1.0", id, "sha256:" + id, diff("9")} {
		img, err := CRIO(t.Context(), ref, Options{StorageRoot: dir})
		if err != nil {
			t.Fatal(err)
		}
		if len(img.Layers) != 2 || img.Layers[0].DiffID != diff("1") || img.Layers[1].Dir != filepath.Join(dir, "overlay/top/diff") || len(img.Gaps) > 0 || img.Info.ConfigID != "sha256:"+id {
			t.Errorf("%s: %+v %+v", ref, img.Info, img.Layers)
		}
	}
	if _, err := CRIO(t.Context(), "none", Options{StorageRoot: dir}); err == nil {
		t.Error("no such image, no error")
	}
	put("overlay-images/images.json", []storedImage{{ID: id, Names: []string{"x"}, Layer: "loop"}, {ID: "../../etc", Names: []string{"y"}}})
	for _, ref := range []string{"x", "y"} {
		if _, err := CRIO(t.Context(), ref, Options{StorageRoot: dir}); err == nil {
			t.Errorf("%s: no error", ref)
		}
	}
	if n := dataName("manifest"); n != "manifest" {
		t.Error(n)
	}
}
