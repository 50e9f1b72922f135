package version

import (
	"testing"

	"stockade.dev/stockade/internal/advisory"
)

// cases are orders that feeds and installed packages have shown to matter; a < b unless same is set.
var cases = []struct {
	scheme advisory.Scheme
	a, b   string
	same   bool
}{
	{advisory.RPM, "1.1.1k-12.el8_9", "1:1.1.1g-15.el8_3", false}, // a missing epoch is 0
	{advisory.RPM, "(none):1.0-1", "0:1.0-1", true},
	{advisory.RPM, "2.34-100.el9", "2.34-100.el9_4.2", false},
	{advisory.RPM, "8.0.27-1.module+el8.5.0", "8.0.27-1.module+el8.10.0", false},
	{advisory.RPM, "5.10.0-60.18.0.50.oe2203", "5.10.0-153.12.0.92.oe2203sp2", false},
	{advisory.RPM, "1.0~rc1-1", "1.0-1", false},
	{advisory.RPM, "1.0-1", "1.0^git1-1", false},
	{advisory.RPM, "1.0^git1-1", "1.0.1-1", false},
	{advisory.RPM, "1.1.1k", "1.1.1k-12.el8_9", true}, // one has no release
	{advisory.Deb, "5.6.0-0.2", "5.6.1+really5.4.5-1", false},
	{advisory.Deb, "1.1.1n-0+deb11u4", "1.1.1n-0+deb11u5", false},
	{advisory.Deb, "2.4.52-1ubuntu4", "2.4.52-1ubuntu4.1", false},
	{advisory.Deb, "1.0~beta1-1", "1.0-1", false},
	{advisory.Deb, "9.9", "1:0.1", false},
	{advisory.APK, "3.1.0-r4", "3.1.1-r1", false},
	{advisory.APK, "1.2.4_rc1-r0", "1.2.4-r0", false},
	{advisory.APK, "1.2.4-r0", "1.2.4_p1-r0", false},
	{advisory.APK, "1.1.1k-r0", "1.1.1l-r0", false},
	{advisory.SemVer, "v1.22.9", "1.22.10", false},
	{advisory.SemVer, "1.0.0-rc.2", "1.0.0", false},
	{advisory.SemVer, "1.2", "1.2.0", true},
	{advisory.SemVer, "9.0.85", "9.0.85.1", false},
	{advisory.GoModule, "v2.8.2+incompatible", "2.8.2", true},
	{advisory.GoModule, "v0.0.0-20190101000000-abcdefabcdef", "v0.0.0-20200101000000-abcdefabcdef", false},
	{advisory.GoModule, "v1.2.4-0.20191109021931-daa7c04131f5", "v1.2.4", false},
	{advisory.GoModule, "go1.21rc2", "go1.21.0", false},
	{advisory.GoModule, "1.21.0-0", "go1.21rc2", false},
	{advisory.GoModule, "go1.22.1 X:boringcrypto", "1.22.1", true},
	{advisory.Maven, "2.5-BETA1", "2.5", false},
	{advisory.Maven, "5.2.20.RELEASE", "5.2.20", true},
	{advisory.Maven, "9.0.0-M1", "9.0.0", false},
	{advisory.Maven, "9.4.56.v20240826", "9.4.57.v20241219", false},
	{advisory.PEP440, "1.0.dev1", "1.0a1", false},
	{advisory.PEP440, "1.0", "1.0.post1", false},
	{advisory.Gem, "1.2.4.beta", "1.2.4", false},
	{advisory.NuGet, "1.0.0-Beta", "1.0.0-beta", true},
	{advisory.Composer, "v2.0.0-RC1", "2.0.0", false},
	{advisory.Loose, "12.1.0.4", "12.2.0.4", false},
	{advisory.Loose, "12.2.0.4", "12.10", false},
	{advisory.Loose, "1.1.1", "1.1.1k", false},
	{advisory.Loose, "1.1.1k", "1.1.1l", false},
	{advisory.Loose, "1.0.2z", "1.0.2za", false},
	{advisory.Loose, "1.1.1w", "1.1.2", false},
	{advisory.Loose, "13.19", "13.19.0", true},
	{advisory.Loose, "13.9", "13.19", false},
	{advisory.Loose, "17beta1", "17", false},
	{advisory.Loose, "17-rc1", "17.0.0", false},
	{advisory.Loose, "1.0-rc1", "1.0.0-rc1", true},
	{advisory.Loose, "2.0a1", "2.0b1", false},
	{advisory.Loose, "8u402-b05", "8u402-b06", false},
	{advisory.Loose, "8u402", "8u402-b06", false},
	{advisory.Loose, "8u92", "8u402", false},
	{advisory.Loose, "1.8.0_402-b06", "8u402-b06", true},
	{advisory.Loose, "1.8.0_92", "8u402", false},
	{advisory.Loose, "17.0.9+9", "17.0.10+7", false},
	{advisory.Loose, "9.4.56.v20240826", "9.4.57.v20241219", false},
	{advisory.Loose, "9.4.57", "9.4.57.v20241219", false},
	{advisory.Loose, "5.5p1", "5.5p2", false},
	{advisory.Loose, "v1.6.12", "1.6.12", true},
	{advisory.Loose, "10.0.5", "10.5", false},
}

func TestCompare(t *testing.T) {
	for _, c := range cases {
		want := -1
		if c.same {
			want = 0
		}
		got, err := Compare(c.scheme, c.a, c.b)
		back, _ := Compare(c.scheme, c.b, c.a)
		if err != nil || sign(got) != want || sign(back) != -want {
			t.Errorf("scheme %d: %q to %q: %d and %d, %v, want %d", c.scheme, c.a, c.b, got, back, err, want)
		}
	}
}

func TestNoOrder(t *testing.T) {
	for _, c := range []struct {
		scheme advisory.Scheme
		a, b   string
	}{
		{advisory.RPM, "", "1"}, {advisory.Deb, "x:1", "1"}, {advisory.SemVer, "latest", "1.0.0"}, {advisory.GoModule, "(devel)", "1.0.0"},
		{advisory.Scheme(200), "1", "2"},
	} {
		if got, err := Compare(c.scheme, c.a, c.b); err == nil {
			t.Errorf("scheme %d: %q and %q got order %d", c.scheme, c.a, c.b, got)
		}
		if Less(c.scheme, c.a, c.b) {
			t.Errorf("%q and %q have no order but one is less", c.a, c.b)
		}
	}
}

func TestUpstream(t *testing.T) {
	for _, c := range []struct {
		scheme  advisory.Scheme
		v, want string
	}{
		{advisory.RPM, "1:1.1.1f-4.eulerosv2r9", "1.1.1f"}, {advisory.RPM, "2.34", "2.34"},
		{advisory.Deb, "1:2.4.1-3-1+deb10u1", "2.4.1-3"}, {advisory.APK, "1.2.4_p1-r0", "1.2.4_p1"}, {advisory.SemVer, "1.0.0-rc1", "1.0.0-rc1"},
	} {
		if got := Upstream(c.scheme, c.v); got != c.want {
			t.Errorf("Upstream(%q) = %q, want %q", c.v, got, c.want)
		}
	}
}

// The hot comparators must not allocate: a node has thousands of packages with many rows each.
func TestNoAllocation(t *testing.T) {
	for _, c := range cases {
		switch c.scheme {
		case advisory.RPM, advisory.Deb, advisory.APK, advisory.SemVer, advisory.GoModule, advisory.Loose:
			if n := testing.AllocsPerRun(10, func() { _, _ = Compare(c.scheme, c.a, c.b) }); n != 0 {
				t.Errorf("scheme %d: %q to %q allocates %v times", c.scheme, c.a, c.b, n)
			}
		}
	}
}

// FuzzCompare holds every order to what an order is: nothing panics, a version equals itself, and the answer does not
// depend on who asks. The own orders must be transitive too.
func FuzzCompare(f *testing.F) {
	for _, c := range cases {
		f.Add(uint8(c.scheme), c.a, c.b, "1.0")
	}
	f.Add(uint8(advisory.Composer), "1.0#p", "99999999999999999999", "1-")
	f.Add(uint8(advisory.Maven), "1-.0", "1-sp.", "1..a")
	f.Fuzz(func(t *testing.T, scheme uint8, a, b, c string) {
		s := advisory.Scheme(scheme % (uint8(advisory.Loose) + 1))
		ab, err := Compare(s, a, b)
		ba, back := Compare(s, b, a)
		if (err == nil) != (back == nil) {
			t.Fatalf("scheme %d: %q and %q: %v one way, %v the other", s, a, b, err, back)
		}
		if err == nil && sign(ab) != -sign(ba) {
			t.Fatalf("scheme %d: %q to %q is %d, back %d", s, a, b, ab, ba)
		}
		if self, err := Compare(s, a, a+""); a != "" && (err != nil || self != 0) {
			t.Fatalf("scheme %d: %q to itself is %d, %v", s, a, self, err)
		}
		Upstream(s, a)
		switch s {
		case advisory.Deb, advisory.SemVer, advisory.GoModule, advisory.Loose:
			bc, err2 := Compare(s, b, c)
			ac, err3 := Compare(s, a, c)
			if err == nil && err2 == nil && err3 == nil && ab <= 0 && bc <= 0 && ac > 0 {
				t.Fatalf("scheme %d: %q <= %q <= %q, but the first is after the last", s, a, b, c)
			}
		}
	})
}

func BenchmarkCompare(b *testing.B) {
	for _, c := range []struct {
		name   string
		scheme advisory.Scheme
		x, y   string
	}{
		{"rpm", advisory.RPM, "1:1.1.1k-12.el8_9", "1:1.1.1k-14.el8_10"},
		{"deb", advisory.Deb, "1.1.1n-0+deb11u4", "1.1.1n-0+deb11u5"},
		{"apk", advisory.APK, "3.1.4-r5", "3.1.4-r6"},
		{"go", advisory.GoModule, "v0.0.0-20220722155237-a158d28d115b", "0.17.0"},
		{"loose", advisory.Loose, "12.2.0.4", "12.2.0.5"},
		{"maven", advisory.Maven, "2.13.4.1", "2.13.4.2"},
		{"pep440", advisory.PEP440, "2.28.1", "2.31.0"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = Compare(c.scheme, c.x, c.y)
			}
		})
	}
}
