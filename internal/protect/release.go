package protect

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/yaml"
)

// plugin holds Gatekeeper's release: `make` copies it from Gatekeeper's Go module.
//
//go:embed all:plugin
var plugin embed.FS

// ErrBuiltWithout says that the program cannot install Gatekeeper.
var ErrBuiltWithout = errors.New("this program was built without Gatekeeper's manifests: build it with make")

// release is Gatekeeper as it is installed.
type release struct {
	objects []*object
	image   string // of its Deployments
	version string // v3.23.1
}

var builtIn = sync.OnceValue(func() *release {
	data, err := plugin.ReadFile("plugin/gatekeeper.yaml")
	if err != nil {
		return nil
	}
	r, err := readRelease(data)
	if err != nil {
		return nil // a test holds the copied file to this
	}
	return r
})

// maxObjects bounds the objects of a release.
const maxObjects = 500

// readRelease reads the manifests of a release.
func readRelease(data []byte) (*release, error) {
	r := &release{}
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 64<<10)
	for {
		var content map[string]any
		err := d.Decode(&content)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("gatekeeper's manifests: %w", err)
		}
		if len(content) == 0 {
			continue
		}
		o := &object{Object: content}
		if o.GetKind() == "" || o.GetName() == "" {
			return nil, errors.New("gatekeeper's manifests: an object without kind or name")
		}
		if r.objects = append(r.objects, o); len(r.objects) > maxObjects {
			return nil, fmt.Errorf("gatekeeper's manifests: more than %d objects", maxObjects)
		}
		if o.GetKind() == "Deployment" && o.GetName() == webhookDeploy {
			if cs := containers(o); len(cs) > 0 {
				r.image, _ = cs[0]["image"].(string)
			}
		}
	}
	if r.image == "" {
		return nil, fmt.Errorf("gatekeeper's manifests: there is no Deployment %s", webhookDeploy)
	}
	r.version = versionOf(r.image)
	return r, nil
}

// versionOf is the version that an image's tag names: v3.23.1; "" when it names none.
func versionOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	i := strings.LastIndex(image, ":")
	if i < strings.LastIndex(image, "/") || i < 0 {
		return ""
	}
	tag := image[i+1:]
	if !strings.HasPrefix(tag, "v") {
		tag = "v" + tag
	}
	if !numbered(tag) {
		return ""
	}
	return tag
}

func numbered(tag string) bool {
	parts := strings.SplitN(strings.TrimPrefix(tag, "v"), ".", 3)
	if len(parts) < 2 {
		return false
	}
	for _, p := range parts[:2] {
		if p == "" || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// containers are the containers of a pod template, as maps that can be changed.
func containers(o *object) []map[string]any {
	list, _ := nested(o.Object, "spec", "template", "spec", "containers").([]any)
	var out []map[string]any
	for _, c := range list {
		if m, ok := c.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// nested is a value inside of maps; nil when it is not there.
func nested(m map[string]any, path ...string) any {
	var v any = m
	for _, p := range path {
		inner, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = inner[p]
	}
	return v
}
