package redhat

import (
	"slices"
	"testing"
)

func TestProduct(t *testing.T) {
	for _, c := range []struct{ cpe, stream, subscription string }{
		{"cpe:/o:redhat:enterprise_linux:8", "redhat 8", ""},
		{"cpe:/a:redhat:enterprise_linux:9::appstream", "redhat 9", ""},
		{"cpe:/o:redhat:enterprise_linux:10.1", "redhat 10", ""},
		{"cpe:/o:redhat:rhel_eus:9.0::baseos", "redhat 9", "EUS"},
		{"cpe:/a:redhat:rhel_e4s:8.6::appstream", "redhat 8", "E4S"},
		{"cpe:/o:redhat:rhel_aus:7.7::server", "redhat 7", "AUS"},
		{"cpe:/o:redhat:rhel_tus:8.4::baseos", "redhat 8", "TUS"},
		{"cpe:/o:redhat:rhel_els:6", "redhat 6", "ELS"},
		{"cpe:/a:redhat:rhel_eus_long_life:8.4", "redhat 8", "EUS"},
		{"cpe:/o:redhat:enterprise_linux_eus:10.0", "redhat 10", "EUS"},
		{"cpe:/a:redhat:openshift:4.12::el8", "redhat 8", ""},
		{"cpe:/a:redhat:rhel_software_collections:3::el7", "redhat 7", ""},
		{"cpe:/a:redhat:rhel_extras_other:6", "redhat 6", ""},
		{"cpe:/a:redhat:openshift:4", "", ""},
		{"cpe:/a:redhat:enterprise_linux_ai:3", "", ""},
		{"cpe:/a:redhat:quarkus:2.13", "", ""},
		{"cpe:/o:oracle:linux:8", "", ""},
		{"cpe:2.3:o:redhat:enterprise_linux:8:*:*:*:*:*:*:*", "", ""},
		{"", "", ""},
	} {
		stream, subscription, ok := Product(c.cpe)
		if stream != c.stream || subscription != c.subscription || ok != (c.stream != "") {
			t.Errorf("Product(%q) = %q, %q, %v", c.cpe, stream, subscription, ok)
		}
	}
}

func TestProducts(t *testing.T) {
	got := Products([]string{"cpe:/a:redhat:enterprise_linux:9::appstream", " cpe:/o:redhat:enterprise_linux:9::baseos ", "cpe:/a:redhat:quarkus:2", "cpe:/a:redhat:openshift:4.12::el8"})
	if want := []string{"cpe:/o:redhat:enterprise_linux:9", "cpe:/a:redhat:openshift:4.12::el8"}; !slices.Equal(got, want) {
		t.Error(got)
	}
}

func TestAfter(t *testing.T) {
	for _, c := range []struct{ earlier, later, want string }{
		{"7.76.1-23.el9_2.4", "7.76.1-26.el9_3.2", "7.76.1-24"},
		{"7.76.1-23.el9_2.4", "7.76.1-26.el9", "7.76.1-24"},
		{"3.9.18-3.el9_4.5", "3.9.19-8.el9", "3.9.18-4"},
		{"1:1.0.2k-25.el7_9", "1:1.0.2k-26.el7_9", ""}, // one branch, fixed twice
		{"5.14.0-284.30.1.el9_2", "5.14.0-362.8.1.el9_3", "5.14.0-285"},
		{"2.5.9-110.module+el8.6.0+1+2", "2.5.9-111.module+el8.9.0+1+2", "2.5.9-111"},
		{"1.0-1.el9_2", "1.0-1.el9_3", ""}, // the same number in both
		{"1.0", "1.1", ""},
		{"1.0-x.el9_2", "1.0-2.el9_3", ""},
	} {
		if got, ok := After(c.earlier, c.later); got != c.want || ok != (c.want != "") {
			t.Errorf("After(%q, %q) = %q, %v", c.earlier, c.later, got, ok)
		}
	}
}

func TestModuleStream(t *testing.T) {
	for label, want := range map[string]string{"nodejs:18:8090020230627084142:b46abd14": "nodejs:18", "python39:3.9": "python39:3.9", "rhel10": "", "": "", ":1": ""} {
		if got := ModuleStream(label); got != want {
			t.Errorf("%q: %q", label, got)
		}
	}
}
