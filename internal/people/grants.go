package people

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
)

// grantRow is a row of the table grants.
type grantRow struct {
	bun.BaseModel `bun:"table:grants,alias:g"`

	UserID     int64         `bun:"user_id"`
	ProviderID int64         `bun:"provider_id"`
	Role       identity.Role `bun:"role"`
	TargetID   int64         `bun:"target_id"`
	Namespace  string        `bun:"namespace"`
}

func (r grantRow) grant() identity.Grant {
	return identity.Grant{Role: r.Role, Target: r.TargetID, Namespace: r.Namespace}
}

// fill reads the grants of users.
func fill(ctx context.Context, db bun.IDB, users ...*User) error {
	if len(users) == 0 {
		return nil
	}
	byID := map[int64]*User{}
	ids := make([]int64, 0, len(users))
	for _, u := range users {
		u.HasPassword, u.Grants, u.Mapped = u.Password != "", []identity.Grant{}, nil
		byID[u.ID] = u
		ids = append(ids, u.ID)
	}
	var rows []grantRow
	err := db.NewSelect().Model(&rows).Where("user_id IN (?)", bun.In(ids)).OrderExpr("user_id, provider_id, target_id, namespace, role").Scan(ctx)
	for _, r := range rows {
		u := byID[r.UserID]
		if r.ProviderID == 0 {
			u.Grants = append(u.Grants, r.grant())
		} else {
			u.Mapped = append(u.Mapped, r.grant())
		}
	}
	return err
}

// maxGrants bounds the grants of one user: every request carries them.
const maxGrants = 500

// checkGrants says what is wrong with grants, whose targets must be there.
func checkGrants(ctx context.Context, tx bun.IDB, grants []identity.Grant) error {
	if len(grants) > maxGrants {
		return invalid("more than %d grants", maxGrants)
	}
	var targets []int64
	for _, g := range grants {
		switch {
		case !slices.Contains(identity.Roles, g.Role):
			return invalid("there is no role %q: the roles are %v", clean(string(g.Role), 64), identity.Roles)
		case g.Target < 0 || g.Target == 0 && g.Namespace != "":
			return invalid("a namespace is one of a cluster: give its targetId")
		case clean(g.Namespace, 253) != g.Namespace:
			return invalid("the namespace %q is none", clean(g.Namespace, 64))
		case g.Target != 0 && !slices.Contains(targets, g.Target):
			targets = append(targets, g.Target)
		}
	}
	if len(targets) == 0 {
		return nil
	}
	n, err := tx.NewSelect().Table("targets").Where("removed_at = 0 AND id IN (?)", bun.In(targets)).Count(ctx)
	if err == nil && int(n) != len(targets) {
		return invalid("a grant names a cluster or project that is not there")
	}
	return err
}

// setGrants replaces the grants that a user has of a provider, 0 for those that administrators give.
func setGrants(ctx context.Context, tx bun.Tx, u *User, provider int64, grants []identity.Grant) error {
	if err := checkGrants(ctx, tx, grants); err != nil {
		return err
	}
	if _, err := tx.NewDelete().Model((*grantRow)(nil)).Where("user_id = ? AND (provider_id = ? OR ? <> 0 AND provider_id <> 0)", u.ID, provider, provider).Exec(ctx); err != nil {
		return err
	}
	var rows []grantRow
	for _, g := range grants {
		r := grantRow{UserID: u.ID, ProviderID: provider, Role: g.Role, TargetID: g.Target, Namespace: g.Namespace}
		if !slices.Contains(rows, r) {
			rows = append(rows, r)
		}
	}
	if len(rows) > 0 {
		if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
			return err
		}
	}
	return fill(ctx, tx, u)
}

// mayGive refuses what the principal of ctx may not do itself: nobody gives more than they have, and a token with a narrow scope
// neither. It also guards changes of people who have more.
func mayGive(ctx context.Context, grants []identity.Grant) error {
	p := identity.From(ctx)
	if p == nil {
		return fmt.Errorf("%w: sign in", ErrForbidden)
	}
	for _, g := range grants {
		for _, a := range identity.Actions {
			if g.Role.May(a) && !p.Can(a, g.Target, g.Namespace) {
				return fmt.Errorf("%w: it needs all that the role %s may, and you may not %s", ErrForbidden, g.Role, a)
			}
		}
	}
	return nil
}

// administrators counts those who can always get in: enabled, with a password, administrator everywhere by hand and not by a
// provider's word.
func administrators(ctx context.Context, db bun.IDB) (int, error) {
	var n int
	err := db.NewSelect().TableExpr("users AS u").Join("JOIN grants AS g ON g.user_id = u.id").ColumnExpr("count(*)").
		Where("u.removed_at = 0 AND NOT u.disabled AND u.password <> ''").
		Where("g.role = ? AND g.target_id = 0 AND g.namespace = '' AND g.provider_id = 0", identity.Administrator).Scan(ctx, &n)
	return n, err
}
