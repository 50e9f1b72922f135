package match

import (
	"slices"
	"testing"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/inventory"
)

// onDisk writes rows into a real database and opens it.
func onDisk(t testing.TB, from *memory) Lookup {
	t.Helper()
	b, err := database.NewBuilder(database.BuildOptions{Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, rows := range from.rows {
		for _, r := range rows {
			if err := b.Row(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Lifecycle(advisory.Lifecycle{Feed: "eol", Stream: "almalinux 8", EOL: "2029-03-01"}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := b.Finish(database.Output{Dir: dir, BuiltAt: "2026-11-21T00:00:00Z"}); err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(dir, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return Over(db)
}

// TestOpened: a real database gives the same as maps do.
func TestOpened(t *testing.T) {
	from, s := el8(t), el8Image(t)
	db := onDisk(t, from)
	got, want := Match(db, s, Options{}), Match(from, s, Options{})
	if len(got.Vulnerabilities) != len(want.Vulnerabilities) || len(got.Undecided) != len(want.Undecided) || got.Lifecycle == nil || got.EndOfLife {
		t.Fatalf("%d and %d, want %d and %d; %+v", len(got.Vulnerabilities), len(got.Undecided), len(want.Vulnerabilities), len(want.Undecided), got.Lifecycle)
	}
	for i := range got.Vulnerabilities {
		g, w := got.Vulnerabilities[i], want.Vulnerabilities[i]
		if g.ID != w.ID || g.Package != w.Package || g.Fixed != w.Fixed {
			t.Errorf("%s %s %s, want %s %s %s", g.Package.Name, g.ID, g.Fixed, w.Package.Name, w.ID, w.Fixed)
		}
	}
	for _, found := range Where(db, Options{}, "CVE-2022-0778", slices.Values([]*inventory.Software{s})) {
		if len(found) != 2 || found[0].Package.SourceName() != "openssl" {
			t.Errorf("%+v", found)
		}
		return
	}
	t.Error("nothing is exposed to CVE-2022-0778")
}

func BenchmarkMatchOpened(b *testing.B) {
	db, s := onDisk(b, el8(b)), el8Image(b)
	b.ReportAllocs()
	for b.Loop() {
		Match(db, s, Options{})
	}
}
