package cpe

import (
	"testing"

	"stockade.dev/stockade/internal/advisory"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, pkg, exact, out string }{
		{"cpe:2.3:a:apache:http_server:2.4.7:*:*:*:*:*:*:*", "apache:http_server", "2.4.7", "cpe:2.3:a:apache:http_server:2.4.7:*:*:*:*:*:*:*"},
		{"cpe:/a:apache:http_server:2.4.7", "apache:http_server", "2.4.7", "cpe:2.3:a:apache:http_server:2.4.7:*:*:*:*:*:*:*"},
		{`cpe:2.3:a:gnu:libstdc\+\+:4.8:*:*:*:*:*:*:*`, "gnu:libstdc++", "4.8", `cpe:2.3:a:gnu:libstdc\+\+:4.8:*:*:*:*:*:*:*`},
		{`cpe:2.3:a:Nodejs:Node.js:*:*:*:*:lts:*:*:*`, "nodejs:node.js", "", "cpe:2.3:a:nodejs:node.js:*:*:*:*:lts:*:*:*"},
		{"cpe:2.3:a:openbsd:openssh:7.2:p2:*:*:*:*:*:*", "openbsd:openssh", "7.2p2", "cpe:2.3:a:openbsd:openssh:7.2:p2:*:*:*:*:*:*"},
		{"cpe:2.3:a:oracle:jdk:1.8.0:update_311:*:*:*:*:*:*", "oracle:jdk", "1.8.0_311", "cpe:2.3:a:oracle:jdk:1.8.0:update_311:*:*:*:*:*:*"},
		{"cpe:2.3:a:oracle:openjdk:8:update102:*:*:*:*:*:*", "oracle:openjdk", "8u102", "cpe:2.3:a:oracle:openjdk:8:update102:*:*:*:*:*:*"},
		{"cpe:2.3:a:postgresql:postgresql:15:beta2:*:*:*:*:*:*", "postgresql:postgresql", "15-beta2", "cpe:2.3:a:postgresql:postgresql:15:beta2:*:*:*:*:*:*"},
		{"cpe:2.3:a:a:b:-:*:*:*:*:*:*:*", "a:b", "", "cpe:2.3:a:a:b:-:*:*:*:*:*:*:*"},
		{"cpe:2.3:a:*:b:1:*:*:*:*:*:*:*", "", "", ""},
		{"cpe:2.3:x:a:b:1:*:*:*:*:*:*:*", "", "", ""},
		{"apache", "", "", ""},
	} {
		n, ok := Parse(c.in)
		if ok != (c.pkg != "") {
			t.Errorf("%s: %v", c.in, ok)
		}
		if ok && (n.Package() != c.pkg || n.Exact() != c.exact || n.String() != c.out) {
			t.Errorf("%s: %q %q %q", c.in, n.Package(), n.Exact(), n.String())
		}
	}
}

func TestOutside(t *testing.T) {
	for in, want := range map[string]string{
		"cpe:2.3:a:apache:http_server:*:*:*:*:*:*:*:*": "", "cpe:2.3:h:cisco:box:-:*:*:*:*:*:*:*": "hardware",
		"cpe:2.3:o:linux:linux_kernel:*:*:*:*:*:*:*:*": "operating system", "cpe:2.3:a:a:b:*:*:*:*:*:wordpress:*:*": "extension of wordpress",
		"cpe:2.3:a:a:b:*:*:*:*:*:windows:*:*": "for another operating system", "cpe:2.3:a:ibm:db2:11.5:*:*:*:*:linux:*:*": "",
	} {
		n, _ := Parse(in)
		if got := n.Outside(); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
}

func TestRows(t *testing.T) {
	n, _ := Parse("cpe:2.3:a:a:b:1.0:*:*:*:*:*:*:*")
	var r Rows
	r.Add(n, []advisory.Range{{Fixed: "2"}, {Fixed: "2"}}, "", nil)
	r.Add(n, nil, "1.0", nil)
	r.Add(n, nil, "1.0", nil)
	r.Add(n, nil, "1.0", []advisory.Requirement{{CPE: []string{"x"}}})
	var got []advisory.Row
	_ = r.All(func(row advisory.Row) error { got = append(got, row); return nil })
	if len(got) != 2 || len(got[0].Ranges) != 1 || len(got[0].Versions) != 1 || got[0].State != advisory.Fixed || got[1].State != advisory.Affected {
		t.Errorf("%+v", got)
	}
	r.Add(n, []advisory.Range{{}}, "", nil)
	got = nil
	_ = r.All(func(row advisory.Row) error { got = append(got, row); return nil })
	if got[0].Ranges != nil || got[0].Versions != nil || got[0].State != advisory.Affected {
		t.Errorf("an interval without ends: %+v", got[0])
	}
}

func FuzzParse(f *testing.F) {
	f.Add("cpe:2.3:a:apache:http_server:2.4.7:*:*:*:*:*:*:*")
	f.Add("cpe:/a:apache:http_server:2.4.7~x%21")
	f.Add(`cpe:2.3:a:gnu:libstdc\+\+:4.8:\`)
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := Parse(s)
		if !ok {
			return
		}
		again, ok := Parse(n.String())
		if !ok || again.String() != n.String() {
			t.Errorf("%q: %q, then %q", s, n, again)
		}
		n.Exact()
		n.Outside()
	})
}
