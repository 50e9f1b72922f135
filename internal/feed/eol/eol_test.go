package eol

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed/feedtest"
)

func TestRead(t *testing.T) {
	cycles := `[{"cycle":"12","codename":"Bookworm","releaseDate":"2023-06-10","eol":"2026-06-10","extendedSupport":"2028-06-30","latest":"12.5","lts":false},
		{"cycle":"13","releaseDate":"2025-08-09","eol":false,"latest":"13.0"}]`
	one := `{"schema_version":"1.2.0","result":{"name":"amazon-linux","releases":[{"name":"2023","eolFrom":"2029-06-30"},{"name":"2018.03","eolFrom":"2023-12-31"}]}}`
	text := func(name string) string {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for _, test := range []struct {
		path, text string
		count      int
		want       advisory.Lifecycle
	}{
		{"eol/full", text("full.json"), 4, advisory.Lifecycle{Stream: "ubuntu 24.04", EOL: "2029-04-25", Extended: "2036-04-25", Released: "2024-04-25", Latest: "24.04.2"}},
		{"eol/ubuntu.md", text("ubuntu.md"), 2, advisory.Lifecycle{Stream: "ubuntu 24.10", EOL: "2025-07-11", Released: "2024-10-10", Latest: "24.10"}},
		{"eol/table.json", text("table.json"), 5, advisory.Lifecycle{Stream: "oracle 9", EOL: "2032-06-30", Extended: "2035-06-30"}},
		{"eol/debian.json", cycles, 2, advisory.Lifecycle{Stream: "debian 12", EOL: "2026-06-10", Extended: "2028-06-30", Released: "2023-06-10", Latest: "12.5"}},
		{"eol/debian.json", cycles, 2, advisory.Lifecycle{Stream: "debian 13", Released: "2025-08-09", Latest: "13.0"}},
		{"eol/amazon.json", one, 2, advisory.Lifecycle{Stream: "amazon 1", EOL: "2023-12-31"}},
	} {
		if !Reader.Knows(test.path, []byte(test.text)[:min(4096, len(test.text))]) {
			t.Errorf("%s is not known", test.path)
		}
		s, err := feedtest.Read(Reader, test.path, test.text)
		test.want.Feed = "endoflife-date"
		if err != nil || len(s.Lifecycles) != test.count || !slices.Contains(s.Lifecycles, test.want) {
			t.Errorf("%s: %v %s, want %+v", test.path, err, fmt.Sprintf("%+v", s.Lifecycles), test.want)
		}
		for _, l := range s.Lifecycles {
			if !advisory.KnownStream(l.Stream) {
				t.Errorf("%s: stream %q", test.path, l.Stream)
			}
		}
	}
	s, err := feedtest.Read(Reader, "eol/windows.json", `[{"cycle":"11","eol":"2030-01-01"}]`)
	if err != nil || fmt.Sprint(s.Refusal()) != "[endoflife-date: product without a stream: 1]" {
		t.Errorf("%v %v", s.Refusal(), err)
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"full.json", "table.json", "ubuntu.md"} {
		if data, err := os.ReadFile("testdata/" + name); err == nil {
			f.Add("eol/"+name, string(data))
		}
	}
	f.Add("eol/debian.json", `[{"cycle":12,"eol":true}]`)
	f.Add("eol/debian.json", `{"result":7}`)
	f.Fuzz(func(t *testing.T, name, text string) {
		s, _ := feedtest.Read(Reader, name, text)
		for _, l := range s.Lifecycles {
			if !advisory.KnownStream(l.Stream) {
				t.Errorf("stream %q", l.Stream)
			}
		}
		Reader.Knows(name, []byte(text))
	})
}
