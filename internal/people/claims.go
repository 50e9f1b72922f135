package people

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// text is a claim that is a string, else "".
func text(claims map[string]any, name string) string {
	v, _ := claims[name].(string)
	return v
}

// maxGroups bounds how many groups of a user are looked at.
const maxGroups = 2000

// groupsOf reads the groups claim: a string or a list of them. A name with dots that is no claim itself goes into objects, as
// Keycloak's realm_access.roles.
func groupsOf(claims map[string]any, name string) []string {
	v, ok := claims[name]
	if !ok {
		v = any(claims)
		for part := range strings.SplitSeq(name, ".") {
			m, _ := v.(map[string]any)
			v = m[part]
		}
	}
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, g := range v[:min(len(v), maxGroups)] {
			if g, ok := g.(string); ok {
				out = append(out, g)
			}
		}
		return out
	}
	return nil
}

// mapped is what groups give. Mappings to clusters that are gone give nothing and keep nobody out.
func mapped(ctx context.Context, db bun.IDB, mappings []Mapping, groups []string) ([]identity.Grant, error) {
	var out []identity.Grant
	for _, m := range mappings {
		if !slices.Contains(groups, m.Group) || slices.Contains(out, m.Grant) {
			continue
		}
		err := checkGrants(ctx, db, []identity.Grant{m.Grant})
		if err == nil {
			out = append(out, m.Grant)
		} else if !errors.Is(err, ErrInvalid) {
			return nil, err
		}
	}
	return out, nil
}

// freeName makes the name of a new user from its claims. Where one of that name is there, the new one is told apart by the provider:
// it is never taken for the same.
func freeName(ctx context.Context, db bun.IDB, claims map[string]any, p *Provider) (string, error) {
	name := ""
	for _, claim := range []string{"preferred_username", "email", "sub"} {
		if name = plainName(text(claims, claim)); name != "" && name != identity.System.Name {
			break
		}
	}
	if name == "" {
		name = "user"
	}
	for n := range 100 {
		candidate := name
		if n > 0 {
			suffix := "-" + plainName(p.Name)
			if n > 1 {
				suffix += fmt.Sprint("-", n)
			}
			candidate = name[:min(len(name), 63-len(suffix))] + suffix
		}
		_, err := byName(ctx, db, candidate)
		if errors.Is(err, store.ErrNotFound) && checkName(candidate) == nil {
			return candidate, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
	}
	return "", fmt.Errorf("%w: there are too many users called %q", ErrConflict, name)
}

// plainName makes a user name of foreign text; "" when nothing is left of it.
func plainName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', strings.ContainsRune("._@+-", r):
			return r
		}
		return '-'
	}, strings.ToLower(s))
	s = strings.TrimLeft(s, "._@+-")
	return strings.TrimRight(s[:min(len(s), 63)], "-")
}

// same reports whether a sign-in changed nothing of a user.
func same(a, b *User) bool {
	return a.DisplayName == b.DisplayName && a.Email == b.Email && slices.Equal(a.Grants, b.Grants) && slices.Equal(a.Mapped, b.Mapped)
}
