package kev

import (
	"os"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/feed/feedtest"
)

func TestRead(t *testing.T) {
	for _, file := range []string{"catalogue.json", "catalogue.csv"} {
		data, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if !Reader.Knows("kev/"+file, data) {
			t.Errorf("%s is not known", file)
		}
		s, err := feedtest.Read(Reader, "kev/"+file, string(data))
		if err != nil || len(s.Vulnerabilities) != 2 || s.Records["cisa-kev"] != 2 || !strings.HasPrefix(s.Dates["cisa-kev"], "2025-08-25T") {
			t.Fatalf("%s: %v %v %v", file, s.Records, s.Dates, err)
		}
		a, b := s.Vulnerabilities[0], s.Vulnerabilities[1]
		if a.ID != "CVE-2025-48384" || a.KEV.Added != "2025-08-25" || a.KEV.Due != "2025-09-15" || a.KEV.Ransomware || len(a.CWEs) != 2 || a.CWEs[1] != "CWE-436" {
			t.Errorf("%s: %+v %+v", file, a, a.KEV)
		}
		if b.ID != "CVE-2021-44228" || !b.KEV.Ransomware || !strings.Contains(b.Title, "Log4j2") {
			t.Errorf("%s: %+v %+v", file, b, b.KEV)
		}
	}
	if Reader.Knows("schema.json", []byte(`{"$schema": "x", "properties": {"catalogVersion": {}, "vulnerabilities": {}}}`)) {
		t.Error("the schema is taken for the catalogue")
	}
}

func FuzzRead(f *testing.F) {
	for _, file := range []string{"catalogue.json", "catalogue.csv"} {
		if data, err := os.ReadFile("testdata/" + file); err == nil {
			f.Add(file, string(data))
		}
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		s, _ := feedtest.Read(Reader, name, text)
		for _, b := range s.Bad {
			t.Error(b)
		}
		Reader.Knows(name, []byte(text))
	})
}
