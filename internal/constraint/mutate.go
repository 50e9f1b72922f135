package constraint

import (
	"fmt"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/policy"
)

// mutate has tags replaced by digests as pods are created. Only then: another image in a running pod restarts its container.
func (c *compiler) mutate(p *policy.Policy) {
	if !p.Mutate {
		return
	}
	a := c.area(p)
	switch {
	case a.none:
		return
	case !mutatesOnCreation(c.o.Gatekeeper):
		c.note(p, "tags to digests", "Gatekeeper %s cannot change pods at their creation only (3.23 can), and to change running ones would restart them: tags stay", oneLine(c.o.Gatekeeper, 20))
		return
	}
	if s := &p.Scope; len(s.Images)+len(s.ExcludedImages)+len(s.Users)+len(s.Groups) > 0 {
		c.note(p, "tags to digests", "images and users that the policy leaves out are not told apart: the tags of all pods of its namespaces become digests")
	}
	k := kinds{}
	k.add("", "Pod")
	for _, at := range []struct{ name, location, test string }{
		{"containers", "spec.containers[name:*].image", "spec.containers[name:*].image"},
		{"init", "spec.initContainers[name:*].image", "spec.initContainers[name:*].image"},
		{"volumes", "spec.volumes[name:*].image.reference", "spec.volumes[name:*].image"},
	} {
		c.mutators = append(c.mutators, c.object("mutations.gatekeeper.sh/v1", "Assign", fmt.Sprintf("stockade-p%d-digest-%s", p.ID, at.name), p, map[string]any{
			"applyTo":  []any{map[string]any{"groups": []any{""}, "kinds": []any{"Pod"}, "versions": []any{"v1"}, "operations": []any{"CREATE"}}},
			"match":    a.match(k),
			"location": at.location,
			"parameters": map[string]any{
				// Without the test a volume of another sort would get an image.
				"pathTests": []any{map[string]any{"subPath": at.test, "condition": "MustExist"}},
				"assign":    map[string]any{"externalData": map[string]any{"provider": DigestOf, "dataSource": "ValueAtLocation", "failurePolicy": "Ignore"}}}}))
	}
}

// mutatesOnCreation reports whether a version of Gatekeeper knows operations of mutators.
func mutatesOnCreation(version string) bool {
	if version == "" {
		return true
	}
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (major > 3 || major == 3 && minor >= 23)
}
