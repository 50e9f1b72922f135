// Package runtime opens images in the stores of container runtimes on a node: containerd by its API, CRI-O's directories, the
// Docker daemon by its socket.
package runtime

// Options for runtimes. The zero value holds the usual places.
type Options struct {
	ContainerdSocket string // "" is /run/containerd/containerd.sock
	Namespace        string // of containerd; "" is "k8s.io"
	DockerSocket     string // "" is /var/run/docker.sock
	StorageRoot      string // of containers/storage (CRI-O, Podman); "" is /var/lib/containers/storage
	Platform         string // "linux/arm64"; "" is linux with the architecture of this program
	TempDir          string // for what the Docker daemon sends
	MaxBytes         int64  // of what the Docker daemon sends; 0 is 20 GiB
}

func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}
