package feedtest

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
)

var update = flag.Bool("update", false, "write what readers give into testdata/*.want instead of comparing")

// documents calls f for each document below testdata: every file but SOURCE, fuzz corpora and what is wanted of the others.
func documents(t testing.TB, f func(path string, data []byte)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir("testdata", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "fuzz" {
			return fs.SkipDir
		}
		if d.IsDir() || d.Name() == "SOURCE" || strings.HasSuffix(p, ".want") {
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		n++
		f(strings.TrimPrefix(filepath.ToSlash(p), "testdata/"), data)
		return nil
	})
	if err != nil || n == 0 {
		t.Fatal(n, "documents", err)
	}
}

// Golden reads each document below testdata with the one reader that knows it and compares what comes out with the .want
// file beside it: rows, refusals, dates, what is known of vulnerabilities, and the error of a broken document.
func Golden(t *testing.T, readers ...feed.Reader) {
	t.Helper()
	documents(t, func(path string, data []byte) {
		t.Run(path, func(t *testing.T) {
			var reader *feed.Reader
			for i := range readers {
				if readers[i].Knows(path, data[:min(len(data), 4096)]) {
					if reader != nil {
						t.Fatalf("%s and %s both know it", reader.Name, readers[i].Name)
					}
					reader = &readers[i]
				}
			}
			if reader == nil {
				t.Fatal("no reader knows it")
			}
			s := &Sink{}
			err := ReadInto(s, *reader, path, bytes.NewReader(data))
			if len(s.Bad) > 0 {
				t.Errorf("rows that cannot be: %s", strings.Join(s.Bad, "\n"))
			}
			got := s.text(err)
			file := filepath.Join("testdata", filepath.FromSlash(path)+".want")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, string(want))
		})
	})
}

func (s *Sink) text(err error) string {
	lines := s.Lines()
	for _, r := range s.Refusal() {
		lines = append(lines, "refused: "+r)
	}
	for f, date := range s.Dates {
		lines = append(lines, fmt.Sprintf("records: %s %d, newest %s", f, s.Records[f], date))
	}
	for _, v := range s.Vulnerabilities {
		lines = append(lines, "known: "+known(&v))
	}
	for _, r := range s.Repositories {
		lines = append(lines, "repository: "+r.Name+" "+strings.Join(r.CPEs, " "))
	}
	if err != nil {
		lines = append(lines, "error: "+err.Error())
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n") + "\n"
}

func known(v *advisory.Vulnerability) string {
	title := []rune(strings.Join(strings.Fields(v.Title), " "))
	line := fmt.Sprintf("%s %s %s, %d characters, %d links, %s", v.ID, v.Severity, strings.Join(v.CWEs, " "), len(v.Description), len(v.References), v.Published)
	for _, c := range v.CVSS {
		line += fmt.Sprintf(", %.1f %s by %s", c.Score, c.Vector, c.Source)
	}
	if v.Withdrawn != "" {
		line += ", withdrawn " + v.Withdrawn
	}
	return line + ": " + string(title[:min(len(title), 60)])
}

func compare(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	shown := 0
	for _, line := range g {
		if !slices.Contains(w, line) && shown < 10 {
			shown++
			t.Errorf("unexpected: %s", line)
		}
	}
	for _, line := range w {
		if !slices.Contains(g, line) && shown < 20 {
			shown++
			t.Errorf("missing:    %s", line)
		}
	}
}

// Fuzz feeds a reader anything; the documents below testdata are the seeds. It must end, not panic, and write rows that can
// be.
func Fuzz(f *testing.F, readers ...feed.Reader) {
	documents(f, func(_ string, data []byte) {
		if len(data) < 100_000 {
			f.Add(data)
		}
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, r := range readers {
			r.Knows("vendor/document.json", data[:min(len(data), 4096)])
			s := &Sink{}
			_ = r.Read(context.Background(), feed.Document{Path: "vendor/document.json", Publisher: "vendor", Size: -1, Body: bytes.NewReader(data)}, s)
			if len(s.Bad) > 0 {
				t.Fatalf("%s: rows that cannot be: %s", r.Name, strings.Join(s.Bad, "\n"))
			}
		}
	})
}
