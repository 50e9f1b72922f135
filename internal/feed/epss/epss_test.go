package epss

import (
	"os"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed/feedtest"
)

func TestRead(t *testing.T) {
	for file, want := range map[string]advisory.EPSS{
		"epss_scores-2023-03-07.csv": {Score: 0.97567, Percentile: 0.99995, Date: "2023-03-07"},
		"epss_scores-2021-04-14.csv": {Score: 0.65117, Date: "2021-04-14"}, // neither comment nor percentile
	} {
		data, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if !Reader.Knows("e/"+file, data) {
			t.Errorf("%s is not known", file)
		}
		s, err := feedtest.Read(Reader, "e/"+file, string(data))
		if err != nil || len(s.Vulnerabilities) != 2 || s.Vulnerabilities[0].ID != "CVE-2020-5902" || *s.Vulnerabilities[0].EPSS != want || s.Dates["first-epss"] != want.Date+"T00:00:00Z" {
			t.Errorf("%s: %+v %v %v", file, s.Vulnerabilities, s.Dates, err)
		}
	}
	s, err := feedtest.Read(Reader, "e/x.csv", "#model_version:v1\ncve,epss,percentile\nCVE-2020-0001,1.5,0\nnone,0.1,0.1\nCVE-2020-0002,0.1,x\n")
	if got := strings.Join(s.Refusal(), "; "); err != nil || got != "first-epss: no CVE id: 1; first-epss: score is not between 0 and 1: 2" {
		t.Errorf("%s %v", got, err)
	}
	if _, err := feedtest.Read(Reader, "e/x.csv", "#model_version:v1\ninvalid,header,format\n"); err == nil {
		t.Error("another header is no error")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("#model_version:v2023.03.01,score_date:2023-03-07T00:00:00+0000\ncve,epss,percentile\nCVE-2020-5902,0.97567,0.99995\n")
	f.Add("cve,epss\nCVE-2020-5902,0.65117\n\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, _ := feedtest.Read(Reader, "e/x.csv", text)
		for _, v := range s.Vulnerabilities {
			if !(v.EPSS.Score >= 0 && v.EPSS.Score <= 1) {
				t.Errorf("%+v", v.EPSS)
			}
		}
	})
}
