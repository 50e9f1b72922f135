package policy

import (
	"hash/maphash"
	"math"
	"regexp"
	"strings"
	"sync"

	"stockade.dev/stockade/internal/inventory"
)

// cache keeps what the rules said of pods and workloads by a hash of what they are made of: the pods of a workload differ in names,
// addresses and states only, which no rule looks at.
type cache struct {
	mu     sync.RWMutex
	known  map[uint64]*verdict
	labels bool // a rule looks at annotations
}

// maxCached bounds the cache. When it is full it begins anew: that costs less than keeping order.
const maxCached = 8192

// own are parts of an object that differ between pods of one workload.
var own = regexp.MustCompile(`metadata\.(name|generateName|uid|resourceVersion|creationTimestamp|managedFields|generation|ownerReferences)\b|\bstatus\b|nodeName\b|\.metadata\s*(\[|\)|$)`)

// newCache makes a cache, or none when a rule looks at what differs from pod to pod.
func newCache(variants []*variant) *cache {
	c := &cache{known: map[uint64]*verdict{}}
	for _, v := range variants {
		pods := false
		for _, k := range PodKinds() {
			pods = pods || v.rule.Matches(k)
		}
		if !pods {
			continue
		}
		text := strings.Join([]string{v.rule.Validate.Expression, v.rule.Validate.Found, v.rule.Validate.Path, v.rule.Validate.Each}, "\n")
		if own.MatchString(text) {
			return nil
		}
		c.labels = c.labels || strings.Contains(text, "annotations")
	}
	return c
}

func (c *cache) get(key uint64) *verdict {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.known[key]
}

func (c *cache) put(key uint64, v *verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxCached {
		clear(c.known)
	}
	c.known[key] = v
}

// hasher hashes objects. The seed is its Judge's: nobody outside can make two objects that hash alike.
type hasher struct{ seed maphash.Seed }

// object hashes what rules look at of a pod or workload, and which policies look.
func (h hasher) object(o *inventory.Object, mask []byte, annotations bool) uint64 {
	sum := mix(maphash.String(h.seed, o.APIVersion+"/"+o.Kind+"/"+o.Namespace), maphash.Bytes(h.seed, mask))
	for k, v := range o.Content {
		switch k {
		case "status", "kind", "apiVersion":
		case "metadata":
			sum += mix(maphash.String(h.seed, k), h.metadata(v, annotations))
		case "spec":
			sum += mix(maphash.String(h.seed, k), h.spec(v, o.Kind == "Pod"))
		default:
			sum += mix(maphash.String(h.seed, k), h.value(v))
		}
	}
	return sum
}

func (h hasher) metadata(v any, annotations bool) uint64 {
	m, ok := v.(map[string]any)
	if !ok {
		return h.value(v)
	}
	sum := uint64(1)
	for k, e := range m {
		switch k {
		case "name", "generateName", "uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "ownerReferences", "selfLink":
			continue
		case "annotations":
			if !annotations {
				continue
			}
		}
		sum += mix(maphash.String(h.seed, k), h.value(e))
	}
	return sum
}

func (h hasher) spec(v any, pod bool) uint64 {
	m, ok := v.(map[string]any)
	if !ok {
		return h.value(v)
	}
	sum := uint64(2)
	for k, e := range m {
		if pod && k == "nodeName" {
			continue
		}
		sum += mix(maphash.String(h.seed, k), h.value(e))
	}
	return sum
}

// tokens is how the volume of a pod's own token begins; five random letters follow.
const tokens = "kube-api-access-"

// value hashes a JSON value. The order of keys does not count: sums do not know one.
func (h hasher) value(v any) uint64 {
	switch v := v.(type) {
	case map[string]any:
		sum := uint64(3)
		for k, e := range v {
			sum += mix(maphash.String(h.seed, k), h.value(e))
		}
		return mix(sum, 3)
	case []any:
		sum := uint64(4)
		for _, e := range v {
			sum = mix(sum, h.value(e)+0x9e3779b97f4a7c15)
		}
		return mix(sum, 4)
	case string:
		if len(v) == len(tokens)+5 && strings.HasPrefix(v, tokens) {
			v = tokens
		}
		return maphash.String(h.seed, v)
	case bool:
		if v {
			return 5
		}
		return 6
	case int64:
		return mix(uint64(v), 7) //nolint:gosec // any 64 bits do
	case float64:
		return mix(math.Float64bits(v), 8)
	}
	return 9
}

// mix makes one number of two, so that neither can be told from it.
func mix(a, b uint64) uint64 {
	a ^= b + 0x9e3779b97f4a7c15 + a<<6 + a>>2
	a ^= a >> 33
	a *= 0xff51afd7ed558ccd
	a ^= a >> 33
	a *= 0xc4ceb9fe1a85ec53
	return a ^ a>>33
}
