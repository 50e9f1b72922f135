package protect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// Compiled is what of a bundle stands in a cluster.
type Compiled struct {
	Templates []*object // ConstraintTemplates: first
	Rest      []*object // constraints, Provider objects, mutators, admission policies: when the templates' kinds are there
	Rules     []HookRule
	Mutates   bool      // the mutating webhook is needed
	Next      time.Time // when the same bundle means something else; zero is never
	Problems  []Problem // what could not be compiled, and should have been
	Notes     []Problem // what is not, or not wholly, enforced: known limits
}

// HookRule is a rule of webhooks: what the policies must be asked about.
type HookRule = hookRule

// CompileOptions say for what cluster a bundle is compiled.
type CompileOptions struct {
	CA       []byte // PEM that the provider's certificate is checked with
	CacheOff bool   // Gatekeeper keeps no answers of the provider
	Minor    int    // of Kubernetes
	Now      time.Time
	// Gatekeeper is the version of one that is not ours; "" is the one that this program brings.
	Gatekeeper string
	// Finding reads the finding of the cluster that has a fingerprint; nil when nobody can.
	Finding func(fingerprint string) *finding.Finding
}

// Compiler makes the objects of a bundle.
type Compiler func(ctx context.Context, b *policy.Bundle, o CompileOptions) (*Compiled, error)

// compileFor is how the bundle of a cluster is compiled.
func (s *Service) compileFor(ctx context.Context, target int64, g *Gatekeeper, minor int, ca []byte) CompileOptions {
	o := CompileOptions{CA: ca, Minor: minor, Now: s.o.Now()}
	if g != nil {
		o.CacheOff = g.CacheOff
		if !g.Ours {
			o.Gatekeeper = g.Version
		}
	}
	if s.o.Finding != nil {
		o.Finding = func(fingerprint string) *finding.Finding {
			f, err := s.o.Finding(ctx, target, fingerprint)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				s.log.Warn("protection: reading the finding of an exception", "target", target, "error", err)
			}
			return f
		}
	}
	return o
}

// kept is a bundle that was made lately.
type kept struct {
	bundle *policy.Bundle
	at     time.Time
}

// fresh is how long a bundle is given again without looking: what changes it also forgets it, but at other replicas.
const fresh = 2 * time.Second

// forget drops the kept bundle of a cluster; 0 drops all.
func (s *Service) forget(target int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if target == 0 {
		clear(s.bundles)
		return
	}
	delete(s.bundles, target)
}

// Bundle is what holds in a cluster, protected or not.
func (s *Service) Bundle(ctx context.Context, target int64) (*policy.Bundle, error) {
	s.mu.Lock()
	k := s.bundles[target]
	s.mu.Unlock()
	if now := s.o.Now(); k != nil && now.Sub(k.at) < fresh && !now.Before(k.at) {
		return k.bundle, nil
	}
	var list []policy.Policy
	var used []policy.Template
	if s.o.Policies != nil {
		var err error
		if list, used, err = s.o.Policies.ForTarget(ctx, target); err != nil {
			return nil, err
		}
	}
	b, err := s.bundle(ctx, target, list, used)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bundles[target] = &kept{b, s.o.Now()}
	return b, nil
}

// BundleFor is what would hold in a cluster with other policies. Templates are those that they name, and those given, which win.
func (s *Service) BundleFor(ctx context.Context, target int64, list []policy.Policy, more ...policy.Template) (*policy.Bundle, error) {
	var used []policy.Template
	var err error
	if t, ok := s.o.Policies.(interface {
		TemplatesOf(ctx context.Context, list []policy.Policy) ([]policy.Template, error)
	}); ok {
		used, err = t.TemplatesOf(ctx, list)
	} else if s.o.Policies != nil {
		_, used, err = s.o.Policies.ForTarget(ctx, target)
	}
	if err != nil {
		return nil, err
	}
	for _, t := range more {
		used = slices.DeleteFunc(used, func(o policy.Template) bool { return o.Name == t.Name })
		used = append(used, t)
	}
	return s.bundle(ctx, target, list, used)
}

func (s *Service) bundle(ctx context.Context, target int64, list []policy.Policy, used []policy.Template) (*policy.Bundle, error) {
	b := &policy.Bundle{Target: target, Policies: slices.Clone(list), Templates: used}
	if err := s.db.R.NewSelect().Table("targets").Column("name").Where("id = ? AND kind = 'cluster' AND removed_at = 0", target).Scan(ctx, &b.Cluster); err != nil {
		return nil, store.NotFound(err)
	}
	r, err := s.row(ctx, target)
	if errors.Is(err, store.ErrNotFound) {
		r, err = &row{TargetID: target}, nil
	}
	if err != nil {
		return nil, err
	}
	set := r.Settings.filled(&s.o)
	b.Lang, b.Console, b.System, b.Users, b.Groups = set.Language, set.Console, set.system(), set.ExceptUsers, set.ExceptGroups
	b.Policies = slices.DeleteFunc(b.Policies, func(p policy.Policy) bool {
		return p.Disabled || len(p.Scope.Clusters) > 0 && !slices.Contains(p.Scope.Clusters, target)
	})
	slices.SortStableFunc(b.Policies, func(x, y policy.Policy) int { return int(x.ID - y.ID) })
	if s.o.Exceptions != nil {
		b.Exceptions = s.o.Exceptions(target, s.o.Now())
		slices.SortStableFunc(b.Exceptions, func(x, y exception.Exception) int { return int(x.ID - y.ID) })
	}
	if r.NamespaceText != "" && wantsLabels(b.Policies) {
		if err := json.Unmarshal([]byte(r.NamespaceText), &b.Namespaces); err != nil {
			return nil, fmt.Errorf("the namespaces of cluster %d: %w", target, err)
		}
	}
	data, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	b.Generation = hex.EncodeToString(sum[:8])
	return b, nil
}

// wantsLabels reports whether a policy chooses namespaces by their labels.
func wantsLabels(list []policy.Policy) bool {
	return slices.ContainsFunc(list, func(p policy.Policy) bool { return p.Scope.NamespaceSelector != "" })
}
