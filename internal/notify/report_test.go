package notify

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/notify/message"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

func TestNext(t *testing.T) {
	at := func(s string) time.Time { return must(time.Parse(time.RFC3339, s)) }
	for _, c := range []struct{ cron, zone, after, want string }{
		{"0 6 * * 1", "UTC", "2026-03-02T06:00:00Z", "2026-03-09T06:00:00Z"},
		{"30 8 * * *", "Asia/Shanghai", "2026-03-02T00:00:00Z", "2026-03-02T00:30:00Z"},
		{"@daily", "UTC", "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"},
		{"0 8 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T06:00:00Z"}, // summer time begins
		{"0 8 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T07:00:00Z"}, // and ends
		{"0 0 29 2 *", "UTC", "2026-03-02T00:00:00Z", "2028-02-29T00:00:00Z"},
	} {
		if got, err := Next(c.cron, c.zone, at(c.after)); err != nil || !got.Equal(at(c.want)) {
			t.Errorf("%+v: %s %v", c, got, err)
		}
	}
	for _, c := range [][2]string{{"", "UTC"}, {"* * * *", "UTC"}, {"* * * * * *", "UTC"}, {"@everysecond", "UTC"}, {"61 * * * *", "UTC"}, {"0 0 31 2 *", "UTC"},
		{"0 0 * * *", "Mars/Olympus"}, {"0 0 * * *", "Local"}, {"0 0 * * *", "../../etc/passwd"}, {"x", "UTC"}} {
		if got, err := Next(c[0], c[1], at("2026-03-02T00:00:00Z")); err == nil {
			t.Errorf("%v gives %s", c, got)
		}
	}
}

// people of the tests: 1 sees everything, 2 the target 2 only, 3 reads only.
func (l *lab) people() (admin, operator context.Context) {
	l.owners[1] = &identity.Principal{UserID: 1, Name: "admin", Via: "session", Grants: []identity.Grant{{Role: identity.Administrator}}}
	l.owners[2] = &identity.Principal{UserID: 2, Name: "ann", Via: "session", Grants: []identity.Grant{{Role: identity.Operator, Target: 2}}}
	l.found.targets = map[int64]string{1: "shop", 2: "bank"}
	return identity.With(context.Background(), l.owners[1]), identity.With(context.Background(), l.owners[2])
}

func (l *lab) file(ctx context.Context, report int64) string {
	l.t.Helper()
	list, err := l.Results(ctx, report)
	if err != nil || len(list) == 0 || list[0].Error != "" {
		l.t.Fatalf("%v %+v", err, list)
	}
	f, err := l.Download(ctx, report, list[0].ID)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = f.Body.Close() }()
	data, err := io.ReadAll(f.Body)
	if err != nil || int64(len(data)) != f.Bytes {
		l.t.Fatal(len(data), f.Bytes, err)
	}
	return string(data)
}

func (l *lab) runReports() {
	l.t.Helper()
	if err := l.RunReports(context.Background()); err != nil {
		l.t.Fatal(err)
	}
}

// TestReports writes reports by schedule with what their owners see then.
func TestReports(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db) // at 10:20
		admin, ann := l.people()
		all, err := l.AddReport(admin, ReportInput{Name: "all", Form: "csv", Cron: "0 * * * *", Zone: "Asia/Shanghai", Keep: 2})
		if err != nil || !all.NextAt.Equal(time.Date(2026, 3, 2, 11, 0, 0, 0, time.UTC)) {
			t.Fatal(all, err)
		}
		hers, err := l.AddReport(ann, ReportInput{Name: "hers", Form: "json", Language: "zh", Filter: browse.Filter{Q: "x"}})
		if err != nil {
			t.Fatal(err)
		}
		l.runReports()
		if list := must(l.Results(admin, all.ID)); len(list) != 0 {
			t.Fatal("written before its time")
		}
		l.pass(40 * time.Minute)
		l.runReports()
		l.runReports()
		if rows, err := csv.NewReader(strings.NewReader(l.file(admin, all.ID))).ReadAll(); err != nil || len(rows) != 3 {
			t.Errorf("%d rows: %v", len(rows), err)
		}
		if got := must(l.Report(admin, all.ID)); !got.NextAt.Equal(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)) || got.Running {
			t.Errorf("%+v", got)
		}
		if err := l.AskReport(ann, hers.ID); err != nil {
			t.Fatal(err)
		}
		l.runReports()
		if text := l.file(ann, hers.ID); !strings.Contains(text, "bank") || strings.Contains(text, "shop") || !strings.Contains(text, "特权") {
			t.Error(text)
		}
		// her grants change: so does the next report
		l.owners[2].Grants[0].Target = 1
		if err := l.AskReport(ann, hers.ID); err != nil {
			t.Fatal(err)
		}
		l.runReports()
		if text := l.file(ann, hers.ID); strings.Contains(text, "bank") || !strings.Contains(text, "shop") {
			t.Error(text)
		}
		// and what she may not see any more she does not read in old reports either
		if list := must(l.Results(ann, hers.ID)); len(list) != 1 {
			t.Errorf("%d results", len(list))
		}
		if _, err := l.Download(ann, hers.ID, 2); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if list := must(l.Results(admin, hers.ID)); len(list) != 2 {
			t.Errorf("%d results", len(list))
		}
		// she leaves: nothing more is written, and it says why
		delete(l.owners, 2)
		if err := l.AskReport(admin, hers.ID); err != nil {
			t.Fatal(err)
		}
		l.runReports()
		if list := must(l.Results(admin, hers.ID)); len(list) != 3 || !strings.Contains(list[0].Error, "owner") {
			t.Errorf("%+v", list)
		}
		// a server that was off for days writes one; two are kept
		l.pass(72 * time.Hour)
		l.runReports()
		l.pass(time.Hour)
		l.runReports()
		if list := must(l.Results(admin, all.ID)); len(list) != 2 || list[0].Findings != 2 {
			t.Errorf("%+v", list)
		}
	})
}

// TestReportScope keeps people from each other's reports, and tokens from more than they are for.
func TestReportScope(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		admin, ann := l.people()
		l.owners[4] = &identity.Principal{UserID: 4, Via: "session", Grants: []identity.Grant{{Role: identity.Operator, Target: 2}}}
		bob := identity.With(context.Background(), l.owners[4])
		its, err := l.AddReport(admin, ReportInput{Name: "all", Form: "csv"})
		if err != nil {
			t.Fatal(err)
		}
		hers, err := l.AddReport(ann, ReportInput{Name: "all", Form: "csv"}) // names are each owner's own
		if err != nil {
			t.Fatal(err)
		}
		_ = l.AskReport(ann, hers.ID)
		l.runReports()
		result := must(l.Results(ann, hers.ID))[0].ID

		token := func(user int64, grants ...identity.Grant) context.Context {
			return identity.With(context.Background(), &identity.Principal{UserID: user, Via: "token", Grants: grants})
		}
		everything := identity.Grant{Role: identity.Administrator}
		for name, c := range map[string]struct {
			ctx  context.Context
			sees int
		}{
			"admin": {admin, 2}, "ann": {ann, 1}, "bob": {bob, 0},
			"ann's token":            {token(2, l.owners[2].Grants...), 1},
			"ann's token for less":   {token(2, identity.Grant{Role: identity.Operator, Target: 2, Namespace: "x"}), 0},
			"ann's token elsewhere":  {token(2, identity.Grant{Role: identity.Operator, Target: 1}), 0},
			"admin's token":          {token(1, everything), 2},
			"admin's token for one":  {token(1, identity.Grant{Role: identity.Operator, Target: 2}), 0},
			"a connector":            {identity.With(context.Background(), &identity.Principal{Via: "connector"}), 0},
			"nobody":                 {context.Background(), 0},
			"a reader of everything": {identity.With(context.Background(), &identity.Principal{UserID: 9, Grants: []identity.Grant{{Role: identity.Auditor}}}), 0},
			"an operator of all":     {identity.With(context.Background(), &identity.Principal{UserID: 9, Grants: []identity.Grant{{Role: identity.Operator}}}), 2},
		} {
			list, err := l.Reports(c.ctx)
			if err != nil || len(list) != c.sees {
				t.Errorf("%s sees %d: %v", name, len(list), err)
			}
			if c.sees > 0 {
				continue
			}
			_, e1 := l.Report(c.ctx, hers.ID)
			_, e2 := l.Results(c.ctx, hers.ID)
			_, e3 := l.Download(c.ctx, hers.ID, result)
			_, e4 := l.ChangeReport(c.ctx, hers.ID, ReportInput{Name: "x", Form: "csv"})
			for i, err := range []error{e1, e2, e3, e4, l.AskReport(c.ctx, hers.ID), l.RemoveReport(c.ctx, hers.ID)} {
				if !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s, call %d: %v", name, i, err)
				}
			}
		}
		for _, ctx := range []context.Context{context.Background(), token(1, identity.Grant{Role: identity.Operator, Target: 2})} {
			if _, err := l.AddReport(ctx, ReportInput{Name: "x", Form: "csv"}); !errors.Is(err, ErrForbidden) {
				t.Error(err)
			}
		}
		// a result of another report is not reached through one's own
		if _, err := l.Download(admin, its.ID, result); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if err := l.RemoveReport(ann, hers.ID); err != nil {
			t.Fatal(err)
		}
	})
}

// TestReportChannels sends reports through channels that their owner may use when they are sent.
func TestReportChannels(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		admin, ann := l.people()
		open, closed := newHook(t), newHook(t)
		in := open.input("open", Filter{Topics: []string{outbox.ClusterState}})
		in.Shared, in.Digest = true, "daily"
		l.add(in)
		l.add(closed.input("closed", Filter{}))
		_, err := l.AddReport(ann, ReportInput{Name: "a", Form: "csv", Channels: []string{"2"}})
		wantErr(t, err, "may use")
		_, err = l.AddReport(ann, ReportInput{Name: "a", Form: "csv", Channels: []string{"7"}})
		wantErr(t, err, "may use")
		hers, err := l.AddReport(ann, ReportInput{Name: "a", Form: "html", Channels: []string{"1"}})
		if err != nil {
			t.Fatal(err)
		}
		all, err := l.AddReport(admin, ReportInput{Name: "b", Form: "sarif", Channels: []string{"1", "2"}})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = l.AskReport(ann, hers.ID), l.AskReport(admin, all.ID)
		l.runReports()
		l.deliver()
		l.deliver()
		if len(open.got) != 2 || len(closed.got) != 1 {
			t.Fatalf("%d and %d messages", len(open.got), len(closed.got))
		}
		r := closed.got[0].Report
		if r == nil || r.Name != "b" || r.Link != "https://stockade.example.com/api/v1/reports/"+r.ID+"/results/"+r.Result+"/file" || closed.got[0].Title != "Report b: findings 2" {
			t.Errorf("%+v %s", r, closed.got[0].Title)
		}
		file, err := l.attachment(context.Background(), &message.Report{ID: strconv.FormatInt(hers.ID, 10), Result: "1"})
		if err != nil || file == nil || file.Name != "a-20260302-1020.html" || !strings.Contains(string(file.Data), "bank") {
			t.Error(file, err)
		}
		if file, err := l.attachment(context.Background(), &message.Report{ID: "1", Result: "99"}); file != nil || err != nil {
			t.Error(file, err)
		}
		// the owner may not use it any more
		l.owners[1] = &identity.Principal{UserID: 1, Via: "session", Grants: []identity.Grant{{Role: identity.Operator, Target: 1}}}
		_ = l.AskReport(admin, all.ID)
		l.runReports()
		l.deliver()
		if len(open.got) != 3 || len(closed.got) != 1 {
			t.Errorf("%d and %d messages", len(open.got), len(closed.got))
		}
	})
}

func TestRefusedReports(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		admin, _ := l.people()
		for want, in := range map[string]ReportInput{
			"name":         {Form: "csv"},
			"on one line":  {Name: "a\r\nb", Form: "csv"},
			`form "xlsx"`:  {Name: "a", Form: "xlsx"},
			"language":     {Name: "a", Form: "csv", Language: "fr"},
			"keep":         {Name: "a", Form: "csv", Keep: 51},
			"filter":       {Name: "a", Form: "csv", Filter: browse.Filter{Rule: "bad"}},
			"schedule":     {Name: "a", Form: "csv", Cron: "never"},
			"time zone":    {Name: "a", Form: "csv", Zone: "x"},
			`"x" is no id`: {Name: "a", Form: "csv", Channels: []string{"x"}},
		} {
			_, err := l.AddReport(admin, in)
			wantErr(t, err, want)
		}
		if _, err := l.AddReport(admin, ReportInput{Name: "a", Form: "csv"}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.AddReport(admin, ReportInput{Name: "a", Form: "csv"}); !store.Duplicate(err) {
			t.Error(err)
		}
	})
}

// TestBrokenOff writes a report again that a dead server left half done, and none that another one writes now.
func TestBrokenOff(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		admin, _ := l.people()
		r := must(l.AddReport(admin, ReportInput{Name: "a", Form: "csv"}))
		_ = l.AskReport(admin, r.ID)
		if taken, err := l.takeReport(context.Background()); err != nil || taken == nil {
			t.Fatal(err)
		}
		l.runReports()
		if list := must(l.Results(admin, r.ID)); len(list) != 0 {
			t.Fatal("it was written twice at a time")
		}
		l.pass(reportTime + 6*time.Minute)
		l.runReports()
		if list := must(l.Results(admin, r.ID)); len(list) != 1 {
			t.Fatal("it was not taken up again")
		}
		// a server that stops gives it back
		_ = l.AskReport(admin, r.ID)
		stopped, cancel := context.WithCancel(context.Background())
		taken := must(l.takeReport(context.Background()))
		cancel()
		if err := l.runReport(stopped, taken); err != nil {
			t.Fatal(err)
		}
		l.runReports()
		if list := must(l.Results(admin, r.ID)); len(list) != 2 || list[0].Error != "" {
			t.Errorf("%+v", list)
		}
	})
}

func TestCovers(t *testing.T) {
	all, one, two := identity.Visible{All: true}, identity.Visible{Targets: []int64{1}}, identity.Visible{Targets: []int64{1, 2}}
	part := identity.Visible{Namespaces: map[int64][]string{1: {"a"}}}
	parts := identity.Visible{Namespaces: map[int64][]string{1: {"b", "a"}}}
	none := identity.Visible{}
	for i, c := range []struct {
		a, b identity.Visible
		want bool
	}{{all, one, true}, {one, all, false}, {all, all, true}, {two, one, true}, {one, two, false}, {one, part, true}, {part, one, false}, {parts, part, true}, {part, parts, false},
		{none, part, false}, {none, none, true}, {none, one, false}} {
		if got := covers(c.a, c.b); got != c.want {
			t.Errorf("case %d: %v", i, got)
		}
		if got := same(c.a, c.b); got != (covers(c.a, c.b) && covers(c.b, c.a)) {
			t.Errorf("case %d: same %v", i, got)
		}
	}
}

func TestBounded(t *testing.T) {
	b := &bounded{left: 3, what: "too much"}
	if n, err := b.Write([]byte("abc")); n != 3 || err != nil {
		t.Error(n, err)
	}
	if _, err := b.Write([]byte("d")); err == nil || err.Error() != "too much" || b.buf.String() != "abc" {
		t.Error(err)
	}
}

func TestFileName(t *testing.T) {
	at := store.At(time.Date(2026, 3, 2, 10, 20, 0, 0, time.UTC))
	for name, want := range map[string]string{"Shop / weekly": "Shop---weekly-20260302-1020.csv", "../../x": "x-20260302-1020.csv", "周报": "report-20260302-1020.csv", "a\"; b": "a---b-20260302-1020.csv"} {
		if got := fileName(name, at, "csv"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
