package operator

import (
	"strings"
	"testing"

	"stockade.dev/stockade/internal/feed/feedtest"
)

const table = `id,os,release,src,bin,fixed,cves,severity,date
EulerOS-SA-2024-1001,euleros,2.0-SP9,openssl,openssl openssl-libs,1.1.1f-7.h20.eulerosv2r9,CVE-2023-0286;CVE-2023-0215,Important,2024-01-16
KYSA-202403-1002,kylin,V10 SP1,curl,,0:7.71.1-10.p05.ky10,CVE-2023-38545,high,2024/03/02
# UOS has desktop editions with dpkg
UTSA-2024-000123,uos,20d,,"sudo, sudo-ldap",1.8.27-1+dde,CVE-2021-3156,,
UTSA-2024-000124,UOS,20e-1060,bash,,,CVE-2022-3715,low,2024-05-31
UTSA-2024-000125,uos,20a,zlib,,1.2.11-20.uelc20,,medium,
`

func TestRead(t *testing.T) {
	if !Reader.Knows("own/advisories.csv", []byte(table)) {
		t.Error("not known")
	}
	s, err := feedtest.Read(Reader, "own/advisories.csv", "\ufeff"+table)
	want := `euleros 2.0-SP9 | openssl src | CVE-2023-0286 CVE-2023-0215 | fixed <1.1.1f-7.h20.eulerosv2r9 | EulerOS-SA-2024-1001 high | binaries=openssl,openssl-libs
kylin V10-SP1 | curl src | CVE-2023-38545 | fixed <7.71.1-10.p05.ky10 | KYSA-202403-1002 high
uos 20a | zlib src | UTSA-2024-000125 | fixed <1.2.11-20.uelc20 | UTSA-2024-000125 medium
uos 20d | sudo bin | CVE-2021-3156 | fixed <1.8.27-1+dde | UTSA-2024-000123 
uos 20d | sudo-ldap bin | CVE-2021-3156 | fixed <1.8.27-1+dde | UTSA-2024-000123 
uos 20e-1060 | bash src | CVE-2022-3715 | affected  | UTSA-2024-000124 low`
	if got := strings.Join(s.Lines(), "\n"); err != nil || got != want || len(s.Bad) > 0 {
		t.Errorf("%v %v\n%s\nwant\n%s", err, s.Bad, got, want)
	}
	if s.Records[name] != 5 || s.Dates[name] != "2024-05-31T00:00:00Z" {
		t.Errorf("%v %v", s.Records, s.Dates)
	}
}

func TestOptional(t *testing.T) {
	s, err := feedtest.Read(Reader, "x.csv", "id,os,release,src,bin,fixed,cves,severity,date,arch,module,state\n"+
		"A-1,hce,2.0,nodejs,,12.1-1.hce2,CVE-2024-0001,,,x86_64 aarch64,nodejs:12,\nA-2,ctyunos,23.01,vim,,,CVE-2024-0002,,,,,will-not-fix\n")
	want := `ctyunos 23.01 | vim src | CVE-2024-0002 | will-not-fix  | A-2 
hce 2.0 | nodejs src | CVE-2024-0001 | fixed <12.1-1.hce2 | A-1  | arch=x86_64,aarch64 | module=nodejs:12`
	if got := strings.Join(s.Lines(), "\n"); err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

func TestErrors(t *testing.T) {
	head := "id,os,release,src,bin,fixed,cves,severity,date\n"
	good := "A-0,euleros,2.0-SP9,p,,1-1,CVE-2024-0001,low,2024-01-01\n"
	for text, want := range map[string]string{
		"id,os,release,src,bin,fixed,cves,severity\n":                           "line 1: the column date is missing",
		"id,os,release,src,bin,fixed,cves,severity,date,colour\n":               `line 1, column 10: "colour" is not known`,
		"id,id,os,release,src,bin,fixed,cves,severity,date\n":                   "line 1, column 2: id stands twice",
		head + good + "A-1,euleros,2.0-SP9,p,,1-1,CVE-24-1,low,2024-01-01\n":    `line 3, column cves: "CVE-24-1" is no CVE id`,
		head + "A-1,euleros,9,p,,1-1,CVE-2024-0001,low,2024-01-01\n" + good:     `line 2, column release: "euleros 9" is no system`,
		head + "A-1,euleros,2.0-SP9,,,1-1,CVE-2024-0001,low,2024-01-01\n":       "line 2, column src: and bin are empty",
		head + "A-1,euleros,2.0-SP9,p,,1 1,CVE-2024-0001,low,2024-01-01\n":      "line 2, column fixed:",
		head + "A-1,euleros,2.0-SP9,p,,1-1,CVE-2024-0001,awful,2024-01-01\n":    `line 2, column severity: "awful"`,
		head + "A-1,euleros,2.0-SP9,p,,1-1,CVE-2024-0001,low,yesterday\n":       `line 2, column date: "yesterday"`,
		head + ",euleros,2.0-SP9,p,,1-1,CVE-2024-0001,low,2024-01-01\n":         "line 2, column id: is empty",
		head + "A-1,euleros,2.0-SP9,p,,1-1,CVE-2024-0001,low,2024-01-01,more\n": "line 2, 10 columns instead of 9",
		head + good + "A-1,\"euleros\n":                                         "line 3",
	} {
		s, err := feedtest.Read(Reader, "x.csv", text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if strings.Contains(text, good) && len(s.Rows) != 1 {
			t.Errorf("%q: the good line is lost", text)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(table)
	f.Add("id,os,release,src,bin,fixed,cves,severity,date,arch,module,state\nA,debian,12,p,,1,,,,,,fixed\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, _ := feedtest.Read(Reader, "x.csv", text)
		for _, b := range s.Bad {
			if !strings.HasPrefix(b, "bad package name") {
				t.Error(b)
			}
		}
		Reader.Knows("x.csv", []byte(text))
	})
}
