package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/finding"
)

// target is a kind as this server serves it.
type target struct {
	kind       *collect.Kind
	apiVersion string
	guessed    bool // not from discovery: the server may not have it
}

// path returns the URL path of the list, in one namespace or, for "", all.
func (t *target) path(namespace string) string {
	p := "/apis/" + t.apiVersion
	if t.kind.Group == "" {
		p = "/api/" + t.apiVersion
	}
	if namespace != "" {
		p += "/namespaces/" + namespace
	}
	return p + "/" + t.kind.Resource
}

// acceptAggregated asks for all groups in one answer, which servers give from 1.26 on; older ones ignore it.
const acceptAggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList," +
	"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"

// discovery is the answer to /api and /apis in its three forms.
type discovery struct {
	Kind  string     `json:"kind"`
	Items []struct { // APIGroupDiscoveryList
		Metadata struct{ Name string }
		Versions []struct {
			Version   string
			Freshness string
			Resources []struct {
				Resource string
				Scope    string
				Verbs    []string
			}
		}
	} `json:"items"`
	Groups []struct { // APIGroupList
		Name     string
		Versions []struct{ Version string }
	} `json:"groups"`
	Versions []string `json:"versions"` // APIVersions
}

// groups is what a server has: group -> versions in the server's order -> resource -> may be listed. The map of a version
// is nil until it has been asked for.
type groups map[string]*group

type group struct {
	versions  []string
	resources map[string]map[string]bool
	broken    map[string]error // versions that could not be asked for
}

func (g groups) add(name, version string) *group {
	if g[name] == nil {
		g[name] = &group{resources: map[string]map[string]bool{}, broken: map[string]error{}}
	}
	if !slices.Contains(g[name].versions, version) {
		g[name].versions = append(g[name].versions, version)
	}
	return g[name]
}

// discover finds which of the kinds that are read exist here, and in which version. What cannot be told is told to
// notScanned. The error is set when discovery gives nothing at all.
func (s *Source) discover(ctx context.Context, notScanned func(finding.NotScanned)) ([]target, error) {
	found := groups{}
	for _, root := range [...]string{"/api", "/apis"} {
		var d discovery
		err := s.getJSON(ctx, root, acceptAggregated, &d)
		var status *statusError
		switch {
		case err == nil:
			d.into(found)
		case errors.As(err, &status) && status.code == http.StatusForbidden:
			notScanned(finding.NotScanned{Target: s.info.Name, What: "API discovery at " + root, Code: finding.Forbidden,
				Reason: err.Error() + "; only the kinds of Kubernetes itself are tried"})
			guess(found, root == "/api")
		default:
			return nil, s.explain(err)
		}
	}
	var targets []target
	for i := range collect.Kinds {
		k := &collect.Kinds[i]
		g := found[k.Group]
		if g == nil {
			continue
		}
		version, err := s.choose(ctx, g, k)
		if err != nil {
			s.giveUp(k, s.unread(k, err, 0), notScanned)
			continue
		}
		if version == "" {
			continue
		}
		t := target{kind: k, apiVersion: version, guessed: g.resources[version] == nil}
		if k.Group != "" {
			t.apiVersion = k.Group + "/" + version
		}
		targets = append(targets, t)
	}
	for name := range found {
		s.signs.Groups = append(s.signs.Groups, name)
	}
	return targets, nil
}

// giveUp records that a kind could not be read.
func (s *Source) giveUp(k *collect.Kind, n finding.NotScanned, notScanned func(finding.NotScanned)) {
	if s.info.Unread[k.GroupKind()] == "" {
		s.info.Unread[k.GroupKind()] = n.Reason
	}
	notScanned(n)
}

func (d *discovery) into(found groups) {
	for _, item := range d.Items {
		for _, v := range item.Versions {
			g := found.add(item.Metadata.Name, v.Version)
			g.resources[v.Version] = map[string]bool{}
			for _, r := range v.Resources {
				g.resources[v.Version][r.Resource] = slices.Contains(r.Verbs, "list")
			}
			if v.Freshness == "Stale" && len(v.Resources) == 0 {
				g.broken[v.Version] = errors.New("the server behind this aggregated API does not answer")
			}
		}
	}
	for _, item := range d.Groups {
		for _, v := range item.Versions {
			found.add(item.Name, v.Version)
		}
	}
	if d.Kind == "APIVersions" {
		for _, v := range d.Versions {
			found.add("", v)
		}
	}
}

// guess adds the groups that every Kubernetes has.
func guess(found groups, core bool) {
	for i := range collect.Kinds {
		k := &collect.Kinds[i]
		if k.Builtin && (k.Group == "") == core && slices.Contains(k.Versions, "v1") {
			found.add(k.Group, "v1")
		}
	}
}

// choose returns the version in which the kind is to be read, "" when the server does not have it.
func (s *Source) choose(ctx context.Context, g *group, k *collect.Kind) (string, error) {
	var order []string
	for _, v := range k.Versions {
		if slices.Contains(g.versions, v) {
			order = append(order, v)
		}
	}
	for _, v := range g.versions {
		if !slices.Contains(order, v) {
			order = append(order, v)
		}
	}
	var firstErr error
	for _, v := range order {
		if err := s.resources(ctx, g, k.Group, v); err != nil {
			if firstErr == nil && slices.Contains(k.Versions, v) {
				firstErr = err
			}
			continue
		}
		if list := g.resources[v]; list == nil || list[k.Resource] {
			if list == nil && !k.Builtin {
				continue
			}
			return v, nil
		}
	}
	return "", firstErr
}

// resources asks for the resources of one version, once. A server that forbids it leaves them nil: the kinds are tried.
func (s *Source) resources(ctx context.Context, g *group, name, version string) error {
	if err := g.broken[version]; err != nil {
		return err
	}
	if _, asked := g.resources[version]; asked {
		return nil
	}
	path := "/apis/" + name + "/" + version
	if name == "" {
		path = "/api/" + version
	}
	var list struct {
		Resources []struct {
			Name  string
			Verbs []string
		}
	}
	err := s.getJSON(ctx, path, "", &list)
	var status *statusError
	switch {
	case errors.As(err, &status) && status.code == http.StatusForbidden:
		g.resources[version] = nil
		return nil
	case errors.As(err, &status) && status.code == http.StatusNotFound:
		g.resources[version] = map[string]bool{}
		return nil
	case err != nil:
		g.broken[version] = fmt.Errorf("asking which kinds %s has: %w", strings.TrimPrefix(path, "/"), err)
		return g.broken[version]
	}
	g.resources[version] = make(map[string]bool, len(list.Resources))
	for _, r := range list.Resources {
		g.resources[version][r.Name] = slices.Contains(r.Verbs, "list")
	}
	return nil
}
