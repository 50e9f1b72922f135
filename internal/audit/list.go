package audit

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/store"
)

// Filter says which entries of the log are meant; zero fields say nothing.
type Filter struct {
	Actor  string    // name of who did it
	Action string    // "cluster.add", or "cluster" for all of that noun
	Object string    // part of the object's name
	Target int64     // cluster or project
	From   time.Time // at this time and later
	To     time.Time // before this time
}

func (f Filter) where(q *bun.SelectQuery) {
	if f.Actor != "" {
		q.Where("actor = ?", f.Actor)
	}
	switch {
	case f.Action == "":
	case strings.Contains(f.Action, "."):
		q.Where("action = ?", f.Action)
	default:
		q.Where(`action LIKE ? ESCAPE '\'`, store.Like(f.Action)+".%")
	}
	if f.Object != "" {
		q.Where(`lower(object) LIKE ? ESCAPE '\'`, "%"+store.Like(strings.ToLower(f.Object))+"%")
	}
	if f.Target != 0 {
		q.Where("target_id = ?", f.Target)
	}
	if !f.From.IsZero() {
		q.Where("at >= ?", store.At(f.From))
	}
	if !f.To.IsZero() {
		q.Where("at < ?", store.At(f.To))
	}
}

// List returns a page of entries, newest first. Whether the caller may read the log is the caller's to ask.
func List(ctx context.Context, db *store.DB, f Filter, page store.Page) (list []Entry, next string, err error) {
	list, err = read(ctx, db, f, page.After, page.Size()+1)
	if err != nil {
		return nil, "", err
	}
	if len(list) > page.Size() {
		list = list[:page.Size()]
		next = cursor(list[len(list)-1])
	}
	return list, next, nil
}

func cursor(e Entry) string { return store.Cursor(e.At.UnixMilli(), e.ID) }

func read(ctx context.Context, db *store.DB, f Filter, after string, limit int) (list []Entry, err error) {
	q := db.R.NewSelect().Model(&list).OrderExpr("at DESC, id DESC").Limit(int64(limit))
	f.where(q)
	if after != "" {
		var at, id int64
		if err := store.ReadCursor(after, &at, &id); err != nil {
			return nil, err
		}
		q.Where("at <= ? AND (at < ? OR id < ?)", at, at, id)
	}
	return list, q.Scan(ctx)
}

// batch is how many entries an export reads at a time.
const batch = 1000

// The forms of an export.
const (
	CSV   = "csv"
	JSONL = "jsonl" // an entry a line
)

// Export writes all entries of a filter, newest first, a batch at a time however many there are.
func Export(ctx context.Context, db *store.DB, f Filter, form string, w io.Writer) error {
	var put func(Entry) error
	flush := func() error { return nil }
	switch form {
	case JSONL:
		enc := json.NewEncoder(w)
		put = func(e Entry) error { return enc.Encode(e) }
	case CSV:
		if _, err := io.WriteString(w, "\ufeff"); err != nil { // without it spreadsheets take Chinese for another encoding
			return err
		}
		table := csv.NewWriter(w)
		if err := table.Write(columns); err != nil {
			return err
		}
		put = func(e Entry) error { return table.Write(e.row()) }
		flush = func() error { table.Flush(); return table.Error() }
	default:
		return fmt.Errorf("there is no export form %q: %s or %s", form, CSV, JSONL)
	}
	for after := ""; ; {
		list, err := read(ctx, db, f, after, batch)
		if err != nil {
			return err
		}
		for _, e := range list {
			if err := put(e); err != nil {
				return err
			}
		}
		if err := flush(); err != nil || len(list) < batch {
			return err
		}
		after = cursor(list[len(list)-1])
	}
}

var columns = []string{"at", "actor", "userId", "remote", "request", "action", "object", "targetId", "before", "after"}

func (e Entry) row() []string {
	row := []string{e.At.Format(time.RFC3339Nano), e.Actor, number(e.UserID), e.Remote, e.Request, e.Action, e.Object, number(e.TargetID), e.Before, e.After}
	for i, s := range row {
		row[i] = cell(s)
	}
	return row
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// cell disarms text that a spreadsheet would run as a formula, and keeps an entry on its line. Blanks before the sign do not stop a
// spreadsheet, and its wide forms count in East Asian settings.
func cell(s string) string {
	s = plain(strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(s))
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(s, " \u00a0\u3000"))
	if strings.ContainsRune("=+-@＝＋－＠", first) {
		return "'" + s
	}
	return s
}
