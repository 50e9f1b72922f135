package admission

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/exhibit"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
)

// shape is what objects have in common that differ by their names only: it is kept once, however many pods come from one template.
type shape struct {
	part
	images    []string // as the containers have them, in full
	generated string   // generateName
	template  string   // label pod-template-hash
	owner     string   // "Kind/name" of the controller
	mirror    bool     // of a static pod
}

const maxImages = 100 // of one object that are remembered

// own are the fields of metadata that are an object's own, and those that say nothing.
var own = []string{"uid", "resourceVersion", "creationTimestamp", "generation", "name", "namespace", "managedFields", "selfLink"}

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// token is the name of a volume that the API server makes up for every pod.
var token = regexp.MustCompile(`kube-api-access-[a-z0-9]{5}\b`)

var decoders = sync.Pool{New: func() any { return decode.NewDecoder() }}

// shaper makes shapes of objects, and remembers those of the last.
type shaper struct {
	mu    sync.Mutex
	known map[hash]*shape
	bytes int
}

const mostShapes = 32 << 20 // bytes that are remembered

// shape reads an object. What was seen before is not looked through for credentials again.
func (s *shaper) shape(raw []byte) (*shape, error) {
	d := decoders.Get().(*decode.Decoder)
	content, err := d.Object(raw)
	decoders.Put(d)
	if err != nil {
		return nil, err
	}
	generated := inventory.Str(content, "metadata", "generateName")
	strip(content)
	plain, err := marshal(content)
	if err != nil {
		return nil, err
	}
	before := hashOf(plain)
	s.mu.Lock()
	sh := s.known[before]
	s.mu.Unlock()
	if sh != nil {
		return sh, nil
	}
	if sh, err = newShape(content, generated); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || s.bytes > mostShapes {
		s.known, s.bytes = map[hash]*shape{}, 0
	}
	s.known[before] = sh
	s.bytes += len(sh.body) + 300
	return sh, nil
}

// strip takes out what tells apart objects that are alike.
func strip(content map[string]any) {
	meta := inventory.Map(content, "metadata")
	for _, k := range own {
		delete(meta, k)
	}
	if a := inventory.Map(meta, "annotations"); a != nil {
		delete(a, lastApplied)
	}
	o := inventory.Object{APIVersion: inventory.Str(content, "apiVersion"), Kind: inventory.Str(content, "kind")}
	if kind := o.Ref().GroupKind(); inventory.CarriesPod(kind) || kind == "Service" || kind == "Ingress.networking.k8s.io" {
		delete(content, "status") // no rule reads it at the door, and it changes all the time
	}
}

func newShape(content map[string]any, generated string) (*shape, error) {
	o := &inventory.Object{APIVersion: inventory.Str(content, "apiVersion"), Kind: inventory.Str(content, "kind"), Content: content}
	sh := &shape{generated: generated, template: inventory.Str(content, "metadata", "labels", "pod-template-hash")}
	if c, _, ok := o.Controller(); ok {
		sh.owner = c.Kind + "/" + c.Name
	}
	_, sh.mirror = inventory.Map(content, "metadata", "annotations")[mirrorAnnotation]
	for _, c := range o.Containers() {
		if image := inventory.Str(c.Content, "image"); image != "" && len(sh.images) < maxImages {
			sh.images = append(sh.images, reference(image))
		}
	}
	exhibit.ConcealObject(o)
	plain, err := marshal(content)
	if err != nil {
		return nil, err
	}
	sh.hash, sh.body = hashOf(plain), pack(plain)
	return sh, nil
}

const mirrorAnnotation = "kubernetes.io/config.mirror"

// reference writes the name of an image out; what cannot be read stays as it is.
func reference(image string) string {
	if r, err := policy.ParseReference(image); err == nil {
		return r.String()
	}
	return clean(image, 500)
}

// marshal writes content with its keys in order, whatever the order was. Metadata is there always, for restore.
func marshal(content map[string]any) ([]byte, error) {
	if inventory.Map(content, "metadata") == nil {
		content["metadata"] = map[string]any{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(content); err != nil {
		return nil, err
	}
	return token.ReplaceAll(bytes.TrimSuffix(b.Bytes(), []byte("\n")), []byte("kube-api-access-00000")), nil
}

// restore gives an object back what is its own.
func restore(plain []byte, namespace, name, uid string, generation int64, at time.Time) []byte {
	i := topLevel(plain, "metadata")
	if i < 0 {
		return plain
	}
	var b strings.Builder
	b.Grow(len(plain) + 300)
	b.Write(plain[:i])
	b.WriteString(`"creationTimestamp":"` + at.UTC().Format(time.RFC3339) + `"`)
	put := func(key, value string) {
		if value != "" {
			text, _ := json.Marshal(value) // of a string it never fails
			b.WriteString(`,"` + key + `":`)
			b.Write(text)
		}
	}
	put("name", name)
	put("namespace", namespace)
	put("uid", uid)
	if generation != 0 {
		b.WriteString(`,"generation":` + strconv.FormatInt(generation, 10))
	}
	if plain[i] != '}' {
		b.WriteByte(',')
	}
	b.Write(plain[i:])
	return []byte(b.String())
}

// topLevel is where the content of a map begins that stands under a key of the outermost one; -1 when there is none. The text was
// written by marshal.
func topLevel(plain []byte, key string) int {
	depth, quoted := 0, false
	want := []byte(`"` + key + `":{`)
	for i := 0; i < len(plain); i++ {
		switch c := plain[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			if !quoted && depth == 1 && bytes.HasPrefix(plain[i:], want) {
				return i + len(want)
			}
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			depth--
		}
	}
	return -1
}
