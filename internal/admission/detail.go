package admission

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/exhibit"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/repair"
	"stockade.dev/stockade/internal/store"
)

// Page is an event with everything that is known of it.
type Page struct {
	Listed
	Object      *exhibit.Object
	Diff        string
	Occurrences []Occurrence
	Hours       []Hour
}

// Occurrence is one request of an event.
type Occurrence struct {
	ID          string
	At          time.Time
	User        string
	Groups      []string
	Operation   string
	SubResource string
	APIVersion  string
	Kind        string
	Name        string
	Namespace   string
	UID         string
	Recorded    bool

	object     int64
	generation int64
}

// Hour is how often something happened in an hour.
type Hour struct {
	At       time.Time
	Count    int64
	Requests map[Outcome]int64
}

// Event gives one event. occurrence chooses whose object is shown; "" is the last.
func (s *Service) Event(ctx context.Context, v identity.Visible, id int64, occurrence string) (*Page, error) {
	var w where
	w.scope(v, nil)
	if w.none {
		return nil, store.ErrNotFound
	}
	p := &Page{}
	err := s.db.R.NewRaw("SELECT e.*, (SELECT name FROM targets WHERE id = e.target_id) AS cluster FROM admission_events AS e WHERE id = ? AND "+w.text(),
		append([]any{id}, w.args...)...).Scan(ctx, &p.Listed)
	if err != nil {
		return nil, store.NotFound(err)
	}
	r := &reader{s: s, target: p.TargetID, plain: map[int64][]byte{}}
	if p.Occurrences, err = r.occurrences(ctx, p.ID); err != nil {
		return nil, err
	}
	var hours []struct {
		Hour int64 `bun:"hour"`
		Hits int64 `bun:"hits"`
	}
	if err := s.db.R.NewSelect().Table("admission_event_hours").Column("hour", "hits").Where("event_id = ?", p.ID).OrderExpr("hour").Scan(ctx, &hours); err != nil {
		return nil, err
	}
	for _, h := range hours {
		p.Hours = append(p.Hours, Hour{At: time.Unix(h.Hour*3600, 0).UTC(), Count: h.Hits})
	}
	shown := Occurrence{At: p.LastAt.Time, Kind: p.OwnerKind, Name: p.OwnerName, Namespace: p.Namespace, object: p.ObjectID}
	i := 0
	if occurrence != "" {
		if i = slices.IndexFunc(p.Occurrences, func(o Occurrence) bool { return o.ID == occurrence }); i < 0 {
			return nil, store.ErrNotFound
		}
	}
	if len(p.Occurrences) > 0 {
		shown = p.Occurrences[i]
	}
	return p, r.show(ctx, p, shown)
}

// occurrences are the latest requests of an event, the last first.
func (r *reader) occurrences(ctx context.Context, event int64) ([]Occurrence, error) {
	rows, err := r.s.db.R.QueryContext(ctx, "SELECT slot, at, who_id, what_id, object_id, body FROM admission_occurrences WHERE event_id = ? ORDER BY at DESC, slot DESC", event)
	if err != nil {
		return nil, err
	}
	type row struct {
		slot, at, who, what, object int64
		body                        []byte
	}
	var list []row
	var ids []int64
	err = each(rows, func(q *sql.Rows) error {
		var x row
		err := q.Scan(&x.slot, &x.at, &x.who, &x.what, &x.object, &x.body)
		list = append(list, x)
		ids = append(ids, x.who, x.what)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.load(ctx, ids); err != nil {
		return nil, err
	}
	var out []Occurrence
	for _, x := range list {
		var m moment
		var by who
		var about what
		if err := errors.Join(json.Unmarshal(x.body, &m), some(r.plain[x.who], &by), some(r.plain[x.what], &about)); err != nil {
			r.s.log.Warn("an occurrence cannot be read and is left out", "event", event, "error", err)
			continue
		}
		out = append(out, Occurrence{ID: strconv.FormatInt(x.at, 36) + "-" + strconv.FormatInt(x.slot, 10), At: time.UnixMilli(x.at).UTC(), User: by.User, Groups: by.Groups, Operation: m.Operation,
			SubResource: about.SubResource, APIVersion: about.APIVersion, Kind: about.Kind, Name: m.Name, Namespace: about.Namespace, UID: m.UID, Recorded: x.object != 0,
			object: x.object, generation: m.Generation})
	}
	return out, nil
}

// some reads a part that may have been deleted.
func some(plain []byte, into any) error {
	if len(plain) == 0 {
		return nil
	}
	return json.Unmarshal(plain, into)
}

var notKept = finding.Text{EN: "the object is not kept: it was too large, or the log does not reach back so far", ZH: "对象未保存：过大，或日志已被清理"}

// show draws the object of a request, and what differs from the one before it.
func (r *reader) show(ctx context.Context, p *Page, o Occurrence) error {
	ref := inventory.Ref{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
	now, err := r.object(ctx, o)
	if err != nil {
		return err
	}
	if now == nil {
		p.Object = exhibit.NotRecorded(ref, o.At, notKept)
		return nil
	}
	v := p.Violation()
	var places []repair.Place
	if v.Path != "" {
		places = append(places, repair.Place{Path: v.Path, Found: v.Found, Want: v.Want, Message: v.Message})
	} else if v.Image != "" || v.Container != "" { // a check of an image: where it is named
		for _, c := range now.Containers() {
			if v.Container != "" && c.Name == v.Container || v.Container == "" && reference(inventory.Str(c.Content, "image")) == reference(v.Image) {
				places = append(places, repair.Place{Path: c.Path + ".image", Found: inventory.Str(c.Content, "image"), Message: v.Message})
			}
		}
	}
	p.Object = exhibit.ShowRecorded(now, o.At, places, v.Message)
	if o.Operation != "UPDATE" || o.UID == "" {
		return nil
	}
	before, err := r.before(ctx, o)
	if err != nil || before == nil {
		return err
	}
	exhibit.ConcealObject(before)
	exhibit.ConcealObject(now)
	p.Diff = repair.Diff(repair.Render(before.Content, nil).YAML, repair.Render(now.Content, nil).YAML, p.Object.Name)
	return nil
}

// object reads the object of a request; nil when it is not kept.
func (r *reader) object(ctx context.Context, o Occurrence) (*inventory.Object, error) {
	if o.object == 0 {
		return nil, nil
	}
	if err := r.load(ctx, []int64{o.object}); err != nil {
		return nil, err
	}
	plain := r.plain[o.object]
	if len(plain) == 0 {
		return nil, nil
	}
	content, err := decode.NewDecoder().Object(restore(plain, o.Namespace, o.Name, o.UID, o.generation, o.At))
	if err != nil {
		return nil, err
	}
	out, ok := inventory.NewObject(content)
	if !ok {
		return nil, nil
	}
	return out, nil
}

// before is the object as the last request before had it that was let in.
func (r *reader) before(ctx context.Context, o Occurrence) (*inventory.Object, error) {
	var row struct {
		At     store.Time `bun:"at"`
		Object int64      `bun:"object_id"`
		Gen    int64      `bun:"generation"`
	}
	err := r.s.db.R.NewRaw(`SELECT at, object_id, generation FROM admissions WHERE target_id = ? AND uid_key <> 0 AND uid_key = ? AND at < ? AND outcome <> ? AND object_id <> 0 ORDER BY at DESC, id DESC LIMIT 1`,
		r.target, uidKey(o.UID), store.At(o.At), int64(BlockedRequest)).Scan(ctx, &row)
	if err = store.NotFound(err); errors.Is(err, store.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	// Times and generations differ always: they would only hide what matters.
	return r.object(ctx, Occurrence{Name: o.Name, Namespace: o.Namespace, UID: o.UID, At: o.At, generation: o.generation, object: row.Object})
}
