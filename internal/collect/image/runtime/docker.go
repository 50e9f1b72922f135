package runtime

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

	"stockade.dev/stockade/internal/collect/image/archive"
	"stockade.dev/stockade/internal/collect/image/source"
)

// Docker opens an image of the Docker daemon: what it would save is streamed to a temporary file, because its layers come in
// an order of their own.
func Docker(ctx context.Context, ref string, o Options) (*source.Image, error) {
	socket := or(o.DockerSocket, "/var/run/docker.sock")
	img := &source.Image{Kind: source.KindImage, Name: "docker:" + ref}
	img.Info.Reference = ref
	if err := daemon(ctx, img, ref, socket, o); err != nil {
		return nil, errors.Join(fmt.Errorf("docker at %s: %w", socket, err), img.Close())
	}
	return img, nil
}

func daemon(ctx context.Context, img *source.Image, ref, socket string, o Options) error {
	client := &http.Client{Transport: &http.Transport{
		DisableCompression:    true,
		ResponseHeaderTimeout: 2 * time.Minute, // the daemon prepares the archive first
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "unix", socket)
		},
	}}
	img.OnClose(func() error { client.CloseIdleConnections(); return nil })
	get := func(path string) (io.ReadCloser, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusOK {
			return resp.Body, nil
		}
		defer resp.Body.Close()
		var e struct {
			Message string `json:"message"`
		}
		if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&e) != nil || e.Message == "" {
			e.Message = resp.Status
		}
		return nil, errors.New(e.Message)
	}
	name := (&url.URL{Path: ref}).EscapedPath()
	body, err := get("/images/" + name + "/json")
	if err != nil {
		return err
	}
	raw, err := source.ReadDocument(body)
	_ = body.Close()
	if err != nil {
		return err
	}
	var about struct {
		ID          string `json:"Id"`
		RepoDigests []string
	}
	if err := json.Unmarshal(raw, &about); err != nil {
		return fmt.Errorf("description of %s: %w", ref, err)
	}
	if body, err = get("/images/" + name + "/get"); err != nil {
		return err
	}
	defer body.Close()
	limit := o.MaxBytes
	if limit <= 0 {
		limit = 20 << 30
	}
	f, done, err := source.Spool(o.TempDir, body, limit)
	if err != nil {
		return fmt.Errorf("image %s: %w", ref, err)
	}
	img.OnClose(done)
	if err := archive.Saved(img, f); err != nil {
		return err
	}
	img.Info.Reference = ref
	if img.Info.ConfigID == "" {
		img.Info.ConfigID = about.ID
	}
	for _, d := range about.RepoDigests { // "registry.example.com/shop/till@sha256:..."
		if repo, digest, ok := strings.Cut(d, "@"); ok && (strings.HasPrefix(ref, repo+":") || ref == repo || len(about.RepoDigests) == 1) {
			img.Info.Digest = digest
		}
	}
	return nil
}
