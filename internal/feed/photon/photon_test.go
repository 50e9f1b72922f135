package photon

import (
	"os"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/feed/feedtest"
)

func TestRead(t *testing.T) {
	data, err := os.ReadFile("testdata/cve_data_photon3.0.json")
	if err != nil {
		t.Fatal(err)
	}
	if !Reader.Knows("p/cve_data_photon3.0.json", data) {
		t.Error("not known")
	}
	s, err := feedtest.Read(Reader, "p/cve_data_photon3.0.json", string(data))
	want := `photon 3.0 | ansible src | CVE-2019-3828 | fixed <2.7.6-2.ph3 |  
photon 3.0 | apache-tomcat src | CVE-2019-0199 | fixed <8.5.40-1.ph3 |  
photon 3.0 | apache-tomcat src | CVE-2019-10072 | fixed <8.5.40-2.ph3 |  
photon 3.0 | binutils src | CVE-2017-16826 | fixed <2.31.1-3.ph3 |  
photon 3.0 | curl src | CVE-2025-0725 | affected  |  
photon-cve: no CVE id: 1`
	if got := strings.Join(append(s.Lines(), s.Refusal()...), "\n"); err != nil || got != want || len(s.Bad) > 0 {
		t.Errorf("%v %v\n%s\nwant\n%s", err, s.Bad, got, want)
	}
	if c := s.Rows[0].CVSS; len(c) != 1 || c[0].Score != 10 {
		t.Errorf("%+v", c)
	}
	if _, err := feedtest.Read(Reader, "p/other.json", string(data)); err == nil {
		t.Error("a name without a release is no error")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`[{"cve_id": "CVE-2019-3828", "pkg": "ansible", "cve_score": 10, "aff_ver": "", "res_ver": "2.7.6-2.ph3"}, {"res_ver": "NA"}]`)
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = feedtest.Read(Reader, "p/cve_data_photon3.0.json", text)
		Reader.Knows("x", []byte(text))
	})
}
