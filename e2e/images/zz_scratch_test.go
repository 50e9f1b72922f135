package images

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/sources"
)

func TestScratchBuild(t *testing.T) {
	b, err := database.NewBuilder(database.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	err = feed.Walk(t.Context(), []string{"../../testdata/feeds"}, sources.All, feed.Limits{}, b, nil)
	t.Log(err, time.Since(start))
	os.RemoveAll("/tmp/scratch/db")
	m, err := b.Finish(database.Output{Dir: "/tmp/scratch/db", BuiltAt: time.Now().UTC().Format(time.RFC3339), Force: true})
	t.Log(err, time.Since(start))
	for _, s := range m.Streams {
		fmt.Println(s.Name(), s.Rows)
	}
}

func TestScratchQuery(t *testing.T) {
	db, err := database.Open("/tmp/scratch/db", database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range strings.Split(os.Getenv("Q"), ";") {
		stream, name, _ := strings.Cut(q, "=")
		db.Rows(stream, name, func(r *advisory.Row) bool {
			fmt.Println(stream, name, r.Feed, r.IDs, r.Advisory, r.State, r.Ranges, len(r.Versions), r.CPE, r.Module, r.Binaries, r.Binary, r.Subscription, len(r.Requires))
			return true
		})
	}
}

func TestScratchKeys(t *testing.T) {
	db, err := database.Open("/tmp/scratch/db", database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := os.Create("/tmp/scratch/rows.txt")
	defer f.Close()
	db.Each(func(k database.Key, rows func(yield func(*advisory.Row) bool) error) error {
		return rows(func(r *advisory.Row) bool {
			fmt.Fprintln(f, k.Stream+"|"+k.Package+"|", r.Feed, r.IDs, r.Advisory, r.State, r.Ranges, len(r.Versions), r.CPE, r.Module, r.Binaries, r.Binary, r.Subscription, len(r.Requires), r.Arches)
			return true
		})
	})
}
