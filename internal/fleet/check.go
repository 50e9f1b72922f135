package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/collect/cluster"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/store"
)

// What permissions are for.
const (
	ForScan   = "scan"         // list
	ForWatch  = "watch"        // scan what changed, as it changes
	ForVerify = "verify"       // look at one object again
	ForImages = "pull-secrets" // scan private images with the credentials of the pods that run them
)

// Permission is one line of the self-check: may the server do this, and what needs it.
type Permission struct {
	Group    string `json:"group" doc:"API group; empty is the core group"`
	Resource string `json:"resource"`
	Verb     string `json:"verb" enum:"get,list,watch"`
	Feature  string `json:"feature" enum:"scan,watch,verify,pull-secrets"`
	Reads    string `json:"reads" doc:"what is read from it"`
	NeededBy string `json:"neededBy" doc:"rule families"`
	Allowed  bool   `json:"allowed"`
	Grant    string `json:"grant,omitempty" doc:"the RBAC rule that is missing"`
}

// Check is what trying a cluster gave.
type Check struct {
	At           store.Time   `json:"at" format:"date-time"`
	State        State        `json:"state" enum:"connected,unreachable,refused,waiting"`
	Problem      string       `json:"problem,omitempty" doc:"why the cluster cannot be scanned"`
	Hint         string       `json:"hint,omitempty" doc:"what to do about it"`
	Server       string       `json:"server,omitempty"`
	Version      string       `json:"version,omitempty"`
	Distribution string       `json:"distribution,omitempty"`
	Managed      bool         `json:"managed"`
	Nodes        int          `json:"nodes" doc:"-1 when it may not be asked"`
	Permissions  []Permission `json:"permissions"`
	Missing      int          `json:"missing" doc:"permissions that are not allowed"`
	Grant        string       `json:"grant,omitempty" doc:"YAML that grants what is missing"`
}

// checkTime bounds a whole check, however slowly somebody answers.
const checkTime = 45 * time.Second

// oldest is the first minor version that is read.
const oldest = 19

// Try checks what a cluster would be made of, without keeping anything.
func (f *Fleet) Try(ctx context.Context, a Added) (*Check, error) {
	_, check, err := f.examine(ctx, a)
	if check != nil {
		return check, nil
	}
	if err == nil {
		err = invalid("a cluster of kind %s has nothing to check before it is added", a.Kind)
	}
	return nil, err
}

// CheckCluster checks a cluster and keeps the result.
func (f *Fleet) CheckCluster(ctx context.Context, target int64) (*Check, error) {
	r, err := f.row(ctx, target)
	if err != nil {
		return nil, err
	}
	var check *Check
	if r.Kind == Snapshot {
		check = f.checkSnapshot(r.Server)
		check.At = store.At(f.o.Now())
	} else {
		c, err := f.client(r)
		if err != nil {
			return nil, err
		}
		check = f.check(ctx, c.config)
	}
	if r.Kind == Connector {
		check.Server = ""
	}
	err = f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := f.record(ctx, tx, target, check); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "cluster.check", object(r), target, nil, map[string]any{"state": check.State, "missing": check.Missing})
	})
	return check, err
}

func (f *Fleet) checkSnapshot(path string) *Check {
	s, err := f.snapshot(path)
	c := &Check{State: Connected, Permissions: []Permission{}, Server: path}
	if err != nil {
		c.State, c.Problem = Unreachable, oneLine(err.Error())
		return c
	}
	info := s.Info()
	c.Version, c.Distribution, c.Managed = info.Version, info.Distribution, info.Managed
	return c
}

// try checks credentials that are not kept yet.
func (f *Fleet) try(ctx context.Context, kind string, cred *credentials) (*Check, error) {
	var plain *rest.Config
	if kind == InCluster {
		var err error
		if plain, err = rest.InClusterConfig(); err != nil {
			return nil, invalid("the server does not run in a pod: %s", err)
		}
	} else {
		plain = cred.config()
	}
	c, err := f.newClient(plain, &use{}, nil)
	if err != nil {
		return nil, invalid("%s", oneLine(err.Error()))
	}
	defer c.transport.CloseIdleConnections()
	return f.check(ctx, c.config), nil
}

// check asks a cluster for its version, kinds and nodes, and what these credentials may read.
func (f *Fleet) check(ctx context.Context, rc *rest.Config) *Check {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	check := &Check{At: store.At(f.o.Now()), State: Connected, Permissions: []Permission{}, Nodes: -1, Server: rc.Host}
	fail := func(err error) *Check {
		check.State, check.Problem = stateOf(err)
		var fe *fault.Error
		if errors.As(err, &fe) && fe.Err != nil {
			check.Problem, check.Hint = oneLine(fe.Err.Error()), fe.Hint
		}
		var local *addressError
		var redirect *redirectError
		if errors.As(err, &local) || errors.As(err, &redirect) {
			check.Hint = "" // they say themselves what to do
		}
		return check
	}
	s, err := f.openLive(ctx, rc, "cluster", 0)
	if err != nil {
		return fail(err)
	}
	check.Version = s.Info().Version
	if old(check.Version) {
		check.Problem = fmt.Sprintf("the cluster runs Kubernetes %s; 1.%d is the oldest that is read", check.Version, oldest)
		check.Hint = "upgrade the cluster, or save it with kubectl get -o yaml and scan the files"
		return check
	}
	g, err := s.Glance(ctx)
	if err != nil {
		return fail(err)
	}
	check.Distribution, check.Managed, check.Nodes = g.Info.Distribution, g.Info.Managed, g.Nodes
	if check.Permissions, err = ask(ctx, rc, g.Served); err != nil {
		return fail(err)
	}
	for _, p := range check.Permissions {
		if !p.Allowed {
			check.Missing++
		}
	}
	check.Grant = grant(check.Permissions)
	return check
}

// old reports whether a version is below 1.19. One that cannot be read is not.
func old(version string) bool {
	minor, ok := minorVersion(version)
	return ok && minor < oldest
}

// minorVersion is the 29 of v1.29.4; -1 below version 1.
func minorVersion(version string) (int, bool) {
	major, rest, ok := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	m, err := strconv.Atoi(strings.TrimSuffix(minor, "+"))
	switch {
	case !ok || err != nil || major != "0" && major != "1":
		return 0, false
	case major == "0":
		return -1, true
	}
	return m, true
}

// permissions lists what the server needs of the kinds that a cluster has.
func permissions(served []cluster.Served) []Permission {
	var list []Permission
	for _, s := range served {
		for verb, feature := range map[string]string{"list": ForScan, "watch": ForWatch, "get": ForVerify} {
			p := Permission{Group: s.Kind.Group, Resource: s.Kind.Resource, Verb: verb, Feature: feature, Reads: s.Kind.Why, NeededBy: s.Kind.NeededBy}
			if verb == "get" && s.Kind.GroupKind() == "Secret" {
				p.Feature, p.Reads = ForImages, "credentials of registries, when a pod with a private image names them; kept nowhere"
			}
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b Permission) int {
		if r := rank(a) - rank(b); r != 0 {
			return r
		}
		return strings.Compare(a.Verb, b.Verb)
	})
	return list
}

// rank is the place of a permission's kind in the table of kinds.
func rank(p Permission) int {
	return slices.IndexFunc(collect.Kinds, func(k collect.Kind) bool { return k.Group == p.Group && k.Resource == p.Resource })
}

// review is a SelfSubjectAccessReview.
type review struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       struct {
		ResourceAttributes struct {
			Group    string `json:"group"`
			Resource string `json:"resource"`
			Verb     string `json:"verb"`
		} `json:"resourceAttributes"`
	} `json:"spec"`
	Status struct {
		Allowed bool `json:"allowed"`
	} `json:"status"`
}

// ask fills in which permissions the credentials have. Who may read everything is found out with one question a verb.
func ask(ctx context.Context, rc *rest.Config, served []cluster.Served) ([]Permission, error) {
	client, err := rest.HTTPClientFor(rc)
	if err != nil {
		return nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(rc)
	if err != nil {
		return nil, err
	}
	url := strings.TrimSuffix(base.String(), "/") + "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
	every := map[string]bool{}
	for _, verb := range []string{"get", "list", "watch"} {
		if every[verb], err = may(ctx, client, url, "*", "*", verb); err != nil {
			return nil, fmt.Errorf("asking what the credentials allow: %w", err)
		}
	}
	list := permissions(served)
	var wait sync.WaitGroup
	var mu sync.Mutex
	var first error
	slots := make(chan struct{}, 8)
	for i := range list {
		p := &list[i]
		if p.Allowed = every[p.Verb]; p.Allowed {
			continue
		}
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			allowed, err := may(ctx, client, url, p.Group, p.Resource, p.Verb)
			mu.Lock()
			defer mu.Unlock()
			if p.Allowed = allowed; err != nil && first == nil {
				first = fmt.Errorf("asking what the credentials allow: %w", err)
			}
			if !allowed {
				p.Grant = fmt.Sprintf("{apiGroups: [%q], resources: [%q], verbs: [%q]}", p.Group, p.Resource, p.Verb)
			}
		})
	}
	wait.Wait()
	return list, first
}

func may(ctx context.Context, client *http.Client, url, group, resource, verb string) (bool, error) {
	r := review{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"}
	a := &r.Spec.ResourceAttributes
	a.Group, a.Resource, a.Verb = group, resource, verb
	body, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return false, err
	}
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("the server answers %s", oneLine(resp.Status))
	}
	var answer review
	if err := json.Unmarshal(data, &answer); err != nil {
		return false, errors.New("the server's answer is not JSON")
	}
	return answer.Status.Allowed, nil
}

// grant writes the ClusterRole that adds what is missing; "" when nothing is.
func grant(list []Permission) string {
	verbs := map[[2]string][]string{}
	var order [][2]string
	for _, p := range list {
		if p.Allowed {
			continue
		}
		key := [2]string{p.Group, p.Resource}
		if verbs[key] == nil {
			order = append(order, key)
		}
		verbs[key] = append(verbs[key], p.Verb)
	}
	if len(order) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: stockade-reader-additions\nrules:\n")
	type same struct{ group, verbs string }
	merged := map[same][]string{}
	var groups []same
	for _, key := range order {
		s := same{key[0], strings.Join(verbs[key], ", ")}
		if merged[s] == nil {
			groups = append(groups, s)
		}
		merged[s] = append(merged[s], key[1])
	}
	for _, s := range groups {
		fmt.Fprintf(&b, "  - apiGroups: [%q]\n    resources: [%s]\n    verbs: [%s]\n", s.group, strings.Join(merged[s], ", "), s.verbs)
	}
	b.WriteString("# Bind it to the account of the credentials:\n# kubectl create clusterrolebinding stockade-reader-additions --clusterrole stockade-reader-additions --serviceaccount stockade:stockade\n")
	return b.String()
}
