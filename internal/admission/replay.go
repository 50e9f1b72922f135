package admission

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// replayPage is how many rows are read at once; replayParts how many parts are held unpacked.
const (
	replayPage  = 1000
	replayParts = 5000
)

// logRow is a row of the log.
type logRow struct {
	id, at, generation   int64
	operation            int8
	outcome              Outcome
	what, who, object    int64
	body                 []byte
	whatBody, whoBody    []byte
	objectBody, restored []byte
}

// Recorded gives the admissions of a cluster from since on and before until, oldest first. It holds no rows of the database while
// each runs. Of violations it has what the log keeps: policy, rule, action and place. Objects of one template share their
// ObjectHash.
func (s *Service) Recorded(ctx context.Context, target int64, since, until time.Time, each func(protocol.Admission) error) error {
	r := &reader{s: s, target: target, plain: map[int64][]byte{}}
	at, id := since.UnixMilli(), int64(-1)
	for {
		rows, err := r.page(ctx, at, id, until.UnixMilli())
		if err != nil {
			return err
		}
		for i := range rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			a, err := r.admission(&rows[i])
			if err != nil {
				s.log.Warn("a row of the log of admissions cannot be read and is left out", "target", target, "row", rows[i].id, "error", err)
				continue
			}
			if err := each(a); err != nil {
				return err
			}
		}
		if len(rows) < replayPage {
			return nil
		}
		at, id = rows[len(rows)-1].at, rows[len(rows)-1].id
	}
}

// reader reads rows of the log with their parts.
type reader struct {
	s      *Service
	target int64
	plain  map[int64][]byte // parts, unpacked
}

func (r *reader) page(ctx context.Context, at, id, until int64) ([]logRow, error) {
	rows, err := r.s.db.R.QueryContext(ctx, `SELECT id, at, generation, operation, outcome, what_id, who_id, object_id, body FROM admissions
		WHERE target_id = ? AND (at, id) > (?, ?) AND at < ? ORDER BY at, id LIMIT ?`, r.target, at, id, until, replayPage)
	if err != nil {
		return nil, err
	}
	out := make([]logRow, 0, replayPage)
	err = each(rows, func(q *sql.Rows) error {
		var l logRow
		err := q.Scan(&l.id, &l.at, &l.generation, &l.operation, &l.outcome, &l.what, &l.who, &l.object, &l.body)
		out = append(out, l)
		return err
	})
	if err != nil {
		return nil, err
	}
	var ids []int64
	for i := range out {
		ids = append(ids, out[i].what, out[i].who, out[i].object)
	}
	return out, r.load(ctx, ids)
}

// load reads parts that are not held yet.
func (r *reader) load(ctx context.Context, ids []int64) error {
	var missing []int64
	asked := map[int64]bool{}
	for _, id := range ids {
		if _, ok := r.plain[id]; !ok && id != 0 && !asked[id] {
			asked[id] = true
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if len(r.plain) > replayParts { // those of this page are read again
		clear(r.plain)
		return r.load(ctx, ids)
	}
	for chunk := range chunks(missing, 500) {
		rows, err := r.s.db.R.QueryContext(ctx, "SELECT id, body FROM admission_parts WHERE target_id = ? AND id IN (?)", r.target, bun.List(chunk))
		if err != nil {
			return err
		}
		err = each(rows, func(q *sql.Rows) error {
			var id int64
			var body []byte
			err := q.Scan(&id, &body)
			r.plain[id] = unpack(body)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// admission puts a row together.
func (r *reader) admission(l *logRow) (protocol.Admission, error) {
	var rest remainder
	var about what
	var by who
	if err := json.Unmarshal(unpack(l.body), &rest); err != nil {
		return protocol.Admission{}, err
	}
	if err := json.Unmarshal(r.plain[l.what], &about); err != nil {
		return protocol.Admission{}, err
	}
	if plain := r.plain[l.who]; len(plain) > 0 {
		if err := json.Unmarshal(plain, &by); err != nil {
			return protocol.Admission{}, err
		}
	}
	at := time.UnixMilli(l.at).UTC()
	a := protocol.Admission{At: at, UID: rest.UID, Generation: l.generation, APIVersion: about.APIVersion, Kind: about.Kind, Namespace: about.Namespace, Name: rest.Name,
		OwnerKind: about.OwnerKind, OwnerName: about.OwnerName, Operation: "CREATE", SubResource: about.SubResource, User: by.User, Groups: by.Groups, Generated: about.Bundle,
		Outcome: l.outcome.String(), Undecided: rest.Undecided, ObjectHash: rest.ObjectHash, Bytes: rest.Bytes}
	switch l.operation {
	case opUpdate:
		a.Operation = "UPDATE"
	case opOther:
		a.Operation = rest.Operation
	}
	for _, v := range rest.Violations {
		a.Violations = append(a.Violations, policy.Violation{Policy: v.Policy, Version: v.Version, Rule: v.Rule, Action: v.Action, Container: v.Container, Image: v.Image,
			Digest: v.Digest, Path: v.Path, Exception: v.Exception})
	}
	if plain := r.plain[l.object]; len(plain) > 0 {
		a.Object = restore(plain, about.Namespace, rest.Name, rest.UID, l.generation, at)
		a.ObjectHash = partName(l.object)
	}
	return a, nil
}
