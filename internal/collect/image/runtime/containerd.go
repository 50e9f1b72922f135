package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	containerdtypes "github.com/containerd/containerd/api/types"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"stockade.dev/stockade/internal/collect/image/source"
)

// namespaceHeader is the gRPC header in which containerd expects the namespace.
const namespaceHeader = "containerd-namespace"

// Containerd opens an image in containerd's content store. It speaks the published API of containerd: its Go client would
// bring twice the packages for the same three calls. Layers that the runtime dropped after unpacking (discard_unpacked_layers)
// are named as not read.
func Containerd(ctx context.Context, ref string, o Options) (*source.Image, error) {
	socket := or(o.ContainerdSocket, "/run/containerd/containerd.sock")
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("containerd at %s: %w", socket, err)
	}
	img := &source.Image{Kind: source.KindImage, Name: "containerd:" + ref}
	img.OnClose(conn.Close)
	img.Info.Reference = ref
	c := containerd{images: imagesapi.NewImagesClient(conn), content: contentapi.NewContentClient(conn), namespace: or(o.Namespace, "k8s.io")}
	if err := c.open(ctx, img, ref, o); err != nil {
		return nil, errors.Join(fmt.Errorf("containerd at %s: %w", socket, err), img.Close())
	}
	return img, nil
}

type containerd struct {
	images    imagesapi.ImagesClient
	content   contentapi.ContentClient
	namespace string
}

func (c containerd) in(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, namespaceHeader, c.namespace)
}

func (c containerd) open(ctx context.Context, img *source.Image, ref string, o Options) error {
	target, err := c.find(ctx, ref)
	if err != nil {
		return err
	}
	digest, err := v1.NewHash(target.Digest)
	if err != nil {
		return fmt.Errorf("image %s: %w", ref, err)
	}
	blob := func(ctx context.Context, d v1.Descriptor) ([]byte, error) {
		r := c.read(ctx, d.Digest.String())
		defer r.Close()
		data, err := source.ReadDocument(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Digest, err)
		}
		return data, source.Verify(data, d.Digest.String())
	}
	d := v1.Descriptor{Digest: digest, Size: target.Size, MediaType: types.MediaType(target.MediaType)}
	if _, err := source.Resolve(ctx, img, d, nil, o.Platform, runtime.GOARCH, blob); err != nil {
		return err
	}
	for i := range img.Layers {
		layer := &img.Layers[i]
		if layer.Unread != "" {
			continue
		}
		_, err := c.content.Info(c.in(ctx), &contentapi.InfoRequest{Digest: layer.Digest})
		if status.Code(err) == codes.NotFound {
			layer.Unread, layer.Code = "not in containerd's content store: the runtime drops packed layers or pulled another platform", "unreachable"
			continue
		}
		digest := layer.Digest
		layer.Open = func(ctx context.Context) (io.ReadCloser, error) { return c.read(ctx, digest), nil }
	}
	return nil
}

// find looks an image up by the name as given, by its full name, and by digest.
func (c containerd) find(ctx context.Context, ref string) (*containerdtypes.Descriptor, error) {
	names := []string{ref}
	if parsed, err := name.ParseReference(ref); err == nil {
		full := parsed.Name()
		names = append(names, strings.Replace(full, name.DefaultRegistry+"/", "docker.io/", 1))
	}
	dial, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, n := range names {
		r, err := c.images.Get(c.in(dial), &imagesapi.GetImageRequest{Name: n})
		if err == nil {
			if r.GetImage().GetTarget() == nil {
				return nil, fmt.Errorf("image %s has no target", n)
			}
			return r.Image.Target, nil
		}
		if status.Code(err) != codes.NotFound {
			return nil, err
		}
	}
	if strings.HasPrefix(ref, "sha256:") {
		r, err := c.images.List(c.in(dial), &imagesapi.ListImagesRequest{Filters: []string{"target.digest==" + ref}})
		if err != nil {
			return nil, err
		}
		if len(r.Images) > 0 && r.Images[0].Target != nil {
			return r.Images[0].Target, nil
		}
	}
	return nil, fmt.Errorf("no image %q in namespace %q", ref, c.namespace)
}

// read streams a blob.
func (c containerd) read(ctx context.Context, digest string) io.ReadCloser {
	ctx, cancel := context.WithCancel(c.in(ctx))
	return &stream{open: func() (contentapi.Content_ReadClient, error) {
		return c.content.Read(ctx, &contentapi.ReadContentRequest{Digest: digest})
	}, cancel: cancel}
}

type stream struct {
	open   func() (contentapi.Content_ReadClient, error)
	client contentapi.Content_ReadClient
	cancel context.CancelFunc
	rest   []byte
}

func (s *stream) Read(b []byte) (int, error) {
	if s.client == nil {
		client, err := s.open()
		if err != nil {
			return 0, err
		}
		s.client = client
	}
	for len(s.rest) == 0 {
		m, err := s.client.Recv()
		if err != nil {
			return 0, err // io.EOF at the end
		}
		s.rest = m.Data
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) Close() error {
	s.cancel()
	return nil
}
