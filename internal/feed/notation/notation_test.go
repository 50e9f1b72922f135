package notation

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestSeverity(t *testing.T) {
	for in, want := range map[string]string{"Important": "high", "MODERATE": "medium", " low ": "low", "Critical": "critical", "None": "", "unspecified": "", "negligible": "low", "High Severity": "high"} {
		if got := Severity(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestTime(t *testing.T) {
	for in, want := range map[string]string{
		"2022-06-06 17:58": "2022-06-06T17:58:00Z", "2025-03-29T14:31:53+08:00": "2025-03-29T06:31:53Z", "2024-01-06T03:15:43.990": "2024-01-06T03:15:43Z",
		"2022-10-20T00:15Z": "2022-10-20T00:15:00Z", "2007-06-26": "2007-06-26T00:00:00Z", "20180625": "2018-06-25T00:00:00Z", "2023-12-18 15:00:00 UTC": "2023-12-18T15:00:00Z",
		"": "", "soon": "", "2024-13-45": "", "99999999": "",
	} {
		if got := Time(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestCVEs(t *testing.T) {
	if got := CVEs("CVE-2020-1 cve-2021-44228, CVE-2021-44228 xCVE-2000-1234", "(CVE-2023-123456)"); !slices.Equal(got, []string{"CVE-2021-44228", "CVE-2023-123456"}) {
		t.Error(got)
	}
	if !IsCVE("CVE-2021-44228") || IsCVE("CVE-2021-44228 ") || IsCVE("") || IsCVE("RHSA-2021:1") {
		t.Error("IsCVE")
	}
}

func TestNEVRA(t *testing.T) {
	for _, c := range [][4]string{
		{"delve-0:1.25.2-1.el10_1.aarch64.rpm", "delve", "1.25.2-1.el10_1", "aarch64"},
		{"oci-systemd-hook-1:0.1.15-2.git2d0b8a3.module+el8.4.0+557+48ba8b2f.src.rpm", "oci-systemd-hook", "1:0.1.15-2.git2d0b8a3.module+el8.4.0+557+48ba8b2f", "src"},
		{"samba-client-libs-4.19.4+git.339-1.22", "samba-client-libs", "4.19.4+git.339-1.22", ""},
		{"1:bind-9.16-1.el9.x86_64", "bind", "1:9.16-1.el9", "x86_64"},
		{"pidgin-1.5.1-4.el3", "pidgin", "1.5.1-4.el3", ""},
		{"curl", "", "", ""}, {"a-b", "", "", ""}, {"--", "", "", ""}, {"a--1", "", "", ""}, {"a-1-", "", "", ""},
	} {
		name, evr, arch, ok := NEVRA(c[0])
		if name != c[1] || evr != c[2] || arch != c[3] || ok != (c[1] != "") {
			t.Errorf("%q: %q %q %q %v", c[0], name, evr, arch, ok)
		}
	}
	for in, want := range map[string]bool{"libndr-krb5pac0-32bit": false, "kernel-default": false, "tar-1.34-2.2": true, "bash-5.1-lp150": true, "python3-base": false} {
		if Versioned(in) != want {
			t.Errorf("Versioned(%q)", in)
		}
	}
}

func TestEVR(t *testing.T) {
	for _, c := range [][4]string{{"0", "1", "2", "1-2"}, {"", "1", "2", "1-2"}, {"(none)", "1", "2", "1-2"}, {"30", "9.3", "8.el5", "30:9.3-8.el5"}, {"1", "5", "", "1:5"}} {
		if got := EVR(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%v: %q", c, got)
		}
	}
	if Canonical("0:1-2") != "1-2" || Canonical("1:1-2") != "1:1-2" || Canonical(" 1-2 ") != "1-2" {
		t.Error("Canonical")
	}
}

func TestBounded(t *testing.T) {
	for n, want := range map[int64]error{10: nil, 11: nil, 9: ErrTooLarge, 0: ErrTooLarge} {
		_, err := io.ReadAll(Bounded(strings.NewReader("0123456789"), n))
		if !errors.Is(err, want) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func TestXML(t *testing.T) {
	var v struct {
		Text string `xml:",chardata"`
	}
	if err := xml.NewDecoder(XML(strings.NewReader("<a>gr\xfc\xdfe, Grüße</a>"), 100)).Decode(&v); err != nil || v.Text != "gr\ufffd\ufffde, Grüße" {
		t.Errorf("%q %v", v.Text, err)
	}
	long := strings.Repeat("ü", 100_000)
	if data, err := io.ReadAll(XML(strings.NewReader(long), 1<<20)); err != nil || string(data) != long {
		t.Error(len(data), err)
	}
}

func TestElements(t *testing.T) {
	dec := json.NewDecoder(strings.NewReader(`{"a":[1,2,{"b":[3]}],"c":null,"d":{}}`))
	n := 0
	err := Members(dec, func(name string) error {
		if name == "a" {
			return Elements(dec, func() error { n++; return Skip(dec) })
		}
		return Skip(dec)
	})
	if err != nil || n != 3 {
		t.Error(n, err)
	}
	dec = json.NewDecoder(strings.NewReader(`[1,2]`))
	if err := Elements(dec, func() error { return nil }); err == nil {
		t.Error("an element that nobody reads is no error")
	}
	for _, broken := range []string{`[1,`, `{"a":1`, `x`, ``, `5`} {
		dec := json.NewDecoder(strings.NewReader(broken))
		if err := Elements(dec, func() error { return Skip(dec) }); err == nil {
			t.Errorf("%q is taken for a list", broken)
		}
	}
}
