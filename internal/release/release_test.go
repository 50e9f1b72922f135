package release

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/inventory"
)

// releases is what each folder of testdata is: its files are written as the vendor writes them.
var releases = []struct{ folder, label, streams string }{
	{"euleros-2.0-sp2", "EulerOS 2.0 SP2", "euleros 2.0-SP2"},
	{"euleros-2.0-sp3", "EulerOS 2.0 SP3", "euleros 2.0-SP3"},
	{"euleros-2.0-sp5", "EulerOS 2.0 SP5", "euleros 2.0-SP5"},
	{"euleros-2.0-sp8", "EulerOS 2.0 SP8", "euleros 2.0-SP8"},
	{"euleros-2.0-sp9-arch", "EulerOS 2.0 SP9", "euleros 2.0-SP9"},
	{"euleros-2.0-sp9", "EulerOS 2.0 SP9", "euleros 2.0-SP9"},
	{"euleros-2.0-sp9-stale-os-release", "EulerOS 2.0 SP9", "euleros 2.0-SP9"},
	{"euleros-2.0-sp10", "EulerOS 2.0 SP10", "euleros 2.0-SP10"},
	{"euleros-2.0-sp11", "EulerOS 2.0 SP11", "euleros 2.0-SP11"},
	{"euleros-2.0-sp12", "EulerOS 2.0 SP12", "euleros 2.0-SP12"},
	{"euleros-2.0-sp10-arch", "EulerOS 2.0 SP10", "euleros 2.0-SP10"},
	{"euleros-2.0", "EulerOS 2.0", "euleros 2.0"},
	{"euleros-2.9", "EulerOS 2.0 SP9", "euleros 2.0-SP9"},
	{"euleros-release-only", "EulerOS 2.0 SP2", "euleros 2.0-SP2"},
	{"centos-7.4", "CentOS 7.4", "redhat 7"},
	{"centos-7.5", "CentOS 7.5", "redhat 7"},
	{"centos-7.6", "CentOS 7.6", "redhat 7"},
	{"centos-7.7", "CentOS 7.7", "redhat 7"},
	{"centos-7.8", "CentOS 7.8", "redhat 7"},
	{"centos-7.9", "CentOS 7.9", "redhat 7"},
	{"centos-7", "CentOS 7", "redhat 7"},
	{"centos-8.0", "CentOS 8.0", "redhat 8"},
	{"centos-8.1", "CentOS 8.1", "redhat 8"},
	{"centos-8.2", "CentOS 8.2", "redhat 8"},
	{"centos-stream-8", "CentOS Stream 8", "centos-stream 8"},
	{"centos-stream-9", "CentOS Stream 9", "centos-stream 9"},
	{"centos-6", "CentOS 6.10", "redhat 6"},
	{"centos-5", "CentOS 5.11", "redhat 5"},
	{"rhel-7.9", "Red Hat Enterprise Linux 7.9", "redhat 7"},
	{"rhel-8.4-ubi", "Red Hat Enterprise Linux 8.4", "redhat 8"},
	{"rhel-9.2", "Red Hat Enterprise Linux 9.2", "redhat 9"},
	{"rhel-6", "Red Hat Enterprise Linux 6.10", "redhat 6"},
	{"rhcos-4.14", "Red Hat Enterprise Linux CoreOS 4.14 (RHEL 9.2)", "redhat 9"},
	{"almalinux-8.4", "AlmaLinux 8.4", "almalinux 8"},
	{"almalinux-9.4", "AlmaLinux 9.4", "almalinux 9"},
	{"rocky-8.4", "Rocky Linux 8.4", "rocky 8"},
	{"rocky-8.5", "Rocky Linux 8.5", "rocky 8"},
	{"rocky-8.6", "Rocky Linux 8.6", "rocky 8"},
	{"rocky-8.10", "Rocky Linux 8.10", "rocky 8"},
	{"rocky-9.0", "Rocky Linux 9.0", "rocky 9"},
	{"rocky-9.1", "Rocky Linux 9.1", "rocky 9"},
	{"rocky-9.2", "Rocky Linux 9.2", "rocky 9"},
	{"rocky-9.4", "Rocky Linux 9.4", "rocky 9"},
	{"rocky-9.5", "Rocky Linux 9.5", "rocky 9"},
	{"oracle-7.9", "Oracle Linux 7.9", "oracle 7"},
	{"oracle-8.10", "Oracle Linux 8.10", "oracle 8"},
	{"oracle-9.4", "Oracle Linux 9.4", "oracle 9"},
	{"oracle-6", "Oracle Linux 6.10", "oracle 6"},
	{"fedora-42", "Fedora 42", "fedora 42"},
	{"amazon-1", "Amazon Linux 1", "amazon 1"},
	{"amazon-2", "Amazon Linux 2", "amazon 2"},
	{"amazon-2022", "Amazon Linux 2022", "amazon 2022"},
	{"amazon-2023", "Amazon Linux 2023", "amazon 2023"},
	{"sles-12.5", "SLES 12 SP5", "sles 12.5"},
	{"sles-15", "SLES 15", "sles 15"},
	{"sles-15.1", "SLES 15 SP1", "sles 15.1"},
	{"sles-15.2", "SLES 15 SP2", "sles 15.2"},
	{"sles-16.0", "SLES 16.0", "sles 16.0"},
	{"sles-11.4", "SLES 11 SP4", "sles 11.4"},
	{"opensuse-leap-15.5", "openSUSE Leap 15.5", "opensuse 15.5"},
	{"opensuse-42.3", "openSUSE Leap 42.3", "opensuse 42.3"},
	{"opensuse-tumbleweed", "openSUSE Tumbleweed", "opensuse tumbleweed"},
	{"ubuntu-16.04", "Ubuntu 16.04", "ubuntu 16.04"},
	{"ubuntu-18.04", "Ubuntu 18.04", "ubuntu 18.04"},
	{"ubuntu-20.04", "Ubuntu 20.04", "ubuntu 20.04"},
	{"ubuntu-22.04", "Ubuntu 22.04", "ubuntu 22.04"},
	{"ubuntu-24.04", "Ubuntu 24.04", "ubuntu 24.04"},
	{"ubuntu-lsb-only", "Ubuntu 14.04", "ubuntu 14.04"},
	{"debian-9", "Debian 9", "debian 9"},
	{"debian-10", "Debian 10", "debian 10"},
	{"debian-11", "Debian 11", "debian 11"},
	{"debian-12", "Debian 12", "debian 12"},
	{"debian-testing", "Debian forky/sid", "debian sid"},
	{"debian-version-only", "Debian 6", "debian 6"},
	{"distroless-12", "Debian 12", "debian 12"},
	{"alpine-3.18", "Alpine 3.18", "alpine 3.18"},
	{"alpine-edge", "Alpine edge", "alpine edge"},
	{"alpine-release-only", "Alpine 3.10", "alpine 3.10"},
	{"wolfi", "Wolfi", "wolfi"},
	{"chainguard", "Chainguard", "chainguard, wolfi"},
	{"minimos", "MinimOS", "minimos"},
	{"bottlerocket", "Bottlerocket 1.20.0", "bottlerocket"},
	{"photon-5.0", "Photon OS 5.0", "photon 5.0"},
	{"photon-release-only", "Photon OS 4.0", "photon 4.0"},
	{"azurelinux-3.0", "Azure Linux 3.0", "azurelinux 3.0"},
	{"mariner-2.0", "CBL-Mariner 2.0", "mariner 2.0"},
	{"anolis-8.8", "Anolis OS 8.8", "anolis 8"},
	{"anolis-23", "Anolis OS 23", "anolis 23"},
	{"tencentos-3.1", "TencentOS Server 3.1", "tencentos 3.1, tencentos 3"},
	{"opencloudos-9.2", "OpenCloudOS 9.2", "opencloudos 9"},
	{"openeuler-20.03-lts", "openEuler 20.03 LTS", "openeuler 20.03-LTS"},
	{"openeuler-20.03-lts-sp1", "openEuler 20.03 LTS SP1", "openeuler 20.03-LTS-SP1"},
	{"openeuler-20.03-lts-sp2", "openEuler 20.03 LTS SP2", "openeuler 20.03-LTS-SP2"},
	{"openeuler-20.03-lts-sp3", "openEuler 20.03 LTS SP3", "openeuler 20.03-LTS-SP3"},
	{"openeuler-20.03-lts-sp4", "openEuler 20.03 LTS SP4", "openeuler 20.03-LTS-SP4"},
	{"openeuler-22.03-lts", "openEuler 22.03 LTS", "openeuler 22.03-LTS"},
	{"openeuler-22.03-lts-sp1", "openEuler 22.03 LTS SP1", "openeuler 22.03-LTS-SP1"},
	{"openeuler-22.03-lts-sp2", "openEuler 22.03 LTS SP2", "openeuler 22.03-LTS-SP2"},
	{"openeuler-22.03-lts-sp3", "openEuler 22.03 LTS SP3", "openeuler 22.03-LTS-SP3"},
	{"openeuler-22.03-lts-sp4", "openEuler 22.03 LTS SP4", "openeuler 22.03-LTS-SP4"},
	{"openeuler-24.03-lts", "openEuler 24.03 LTS", "openeuler 24.03-LTS"},
	{"openeuler-24.03-lts-sp1", "openEuler 24.03 LTS SP1", "openeuler 24.03-LTS-SP1"},
	{"openeuler-22.03-lts-no-brackets", "openEuler 22.03 LTS", "openeuler 22.03-LTS"},
	{"openeuler-22.03-lts-sp1-blank", "openEuler 22.03 LTS SP1", "openeuler 22.03-LTS-SP1"},
	{"openeuler-22.03-lts-sp1-blanks", "openEuler 22.03 LTS SP1", "openeuler 22.03-LTS-SP1"},
	{"openeuler-22.03-lts-sp4-hyphens", "openEuler 22.03 LTS SP4", "openeuler 22.03-LTS-SP4"},
	{"openeuler-22.03-release-file", "openEuler 22.03 LTS SP3", "openeuler 22.03-LTS-SP3"},
	{"openeuler-23.09", "openEuler 23.09", "openeuler 23.09"},
	{"hce-2.0", "HCE 2.0", "hce 2.0"},
	{"hce-1.1", "HCE 1.1", "hce 1.1"},
	{"kylin-v10-tercel", "Kylin V10 SP1", "kylin V10-SP1"},
	{"kylin-v10-sword", "Kylin V10 SP2", "kylin V10-SP2"},
	{"kylin-v10-lance", "Kylin V10 SP3", "kylin V10-SP3"},
	{"kylin-v10-halberd", "Kylin V10 SP3 2403", "kylin V10-SP3-2403, kylin V10-SP3"},
	{"kylin-v10-azalea", "Kylin V10 (Azalea)", "kylin V10"},
	{"kylin-v10-sp2-productinfo", "Kylin V10 SP2", "kylin V10-SP2"},
	{"kylin-v10-sp3-2403-productinfo", "Kylin V10 SP3 2403", "kylin V10-SP3-2403, kylin V10-SP3"},
	{"kylin-v10-release-file", "Kylin V10 SP2", "kylin V10-SP2"},
	{"kylin-v10", "Kylin V10", "kylin V10"},
	{"kylin-v10-unknown", "Kylin V10 (Newname)", ""},
	{"kylin-v11", "Kylin V11", "kylin V11"},
	{"kylin-desktop-v10-sp1", "Kylin Desktop V10 SP1", ""},
	{"kylin-desktop-v10-dpkg", "Kylin Desktop V10", ""},
	{"uos-20-e", "UnionTech OS V20 server E", "uos 20e"},
	{"uos-20-1050e", "UnionTech OS V20 1050e", "uos 20e-1050, uos 20e"},
	{"uos-20-1060e", "UnionTech OS V20 1060e", "uos 20e-1060, uos 20e"},
	{"uos-20-1070e", "UnionTech OS V20 1070e", "uos 20e-1070, uos 20e"},
	{"uos-20-1050u2e", "UnionTech OS V20 1050u2e", "uos 20e-1050u2, uos 20e"},
	{"uos-20-1060e-release-file", "UnionTech OS V20 1060e", "uos 20e-1060, uos 20e"},
	{"uos-20-a", "UnionTech OS V20 server A", "uos 20a"},
	{"uos-20-1070a", "UnionTech OS V20 1070a", "uos 20a-1070, uos 20a"},
	{"uos-20-kongli", "UnionTech OS V20 1002a", "uos 20a-1002, uos 20a"},
	{"uos-20-d", "UnionTech OS V20 server D", "uos 20d"},
	{"uos-20-1050d", "UnionTech OS V20 1050d", "uos 20d-1050, uos 20d"},
	{"uos-20-desktop", "UnionTech OS Desktop V20 1060", "uos 20-1060, uos 20"},
	{"ctyunos-23.01", "CTyunOS 3-23.01", "ctyunos 23.01"},
	{"ctyunos-3", "CTyunOS 3-23.01", "ctyunos 23.01"},
	{"ctyunos-3-23.01", "CTyunOS 3-23.01", "ctyunos 23.01"},
	{"ctyunos-release-only", "CTyunOS 2-22.06", "ctyunos 22.06"},
	{"ctyunos-2.0.1", "CTyunOS 2.0.1", "ctyunos 2.0.1"},
	{"kali", "Kali GNU/Linux Rolling", ""},
	{"alinux-3", "Alibaba Cloud Linux 3 (Soaring Falcon)", ""},
	{"hummingbird", "Hummingbird OS 20251124", ""},
	{"scientific", "Scientific Linux release 7.9 (Nitrogen)", ""},
	{"no-id", "Something 1", ""},
}

// tree reads the files of a folder that Recognize wants.
func tree(t testing.TB, folder string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	root := filepath.Join("testdata", folder)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(root, p)
		name = filepath.ToSlash(name)
		if !Wants(name) {
			t.Errorf("%s is not wanted", name)
		}
		files[name], err = os.ReadFile(p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestReleases(t *testing.T) {
	folders := map[string]bool{}
	for _, c := range releases {
		folders[c.folder] = true
		t.Run(c.folder, func(t *testing.T) {
			got := Recognize(tree(t, c.folder))
			if got == nil {
				t.Fatal("not recognised")
			}
			if got.Release != c.label || strings.Join(got.Streams, ", ") != c.streams {
				t.Errorf("%q, %q; want %q, %q (%+v)", got.Release, got.Streams, c.label, c.streams, got)
			}
			for _, s := range got.Streams {
				if !advisory.KnownStream(s) {
					t.Errorf("stream %q is not known", s)
				}
			}
			// What is derived must follow from what is kept: saved inventories are matched without the files.
			if label, streams := Streams(got); label != got.Release || !slices.Equal(streams, got.Streams) {
				t.Errorf("derived again: %q, %q", label, streams)
			}
		})
	}
	found, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		if d.IsDir() && d.Name() != "fuzz" && !folders[d.Name()] {
			t.Errorf("folder %s is not in the table", d.Name())
		}
	}
}

func TestNone(t *testing.T) {
	for name, files := range map[string]map[string][]byte{
		"nothing": nil,
		"busybox": {"etc/passwd": []byte("root:x:0:0::/:/bin/sh\n"), "etc/issue": []byte("Welcome\n")},
		"empty":   {"etc/os-release": {}, "etc/debian_version": []byte("\n"), "etc/redhat-release": []byte("hello\n")},
		"binary":  {"etc/os-release": []byte("\x7fELF\x00\x00ID\x00=\x00"), "usr/lib/os-release": []byte("<html>=x")},
	} {
		if os := Recognize(files); os != nil {
			t.Errorf("%s: %+v", name, os)
		}
	}
}

func TestBeside(t *testing.T) {
	for _, c := range []struct {
		folder string
		get    func(*inventory.OS) string
		want   string
	}{
		{"rhel-8.4-ubi", func(o *inventory.OS) string { return strings.Join(o.Contents, " ") }, "ubi-8-appstream-rpms ubi-8-baseos-rpms"},
		{"rhel-8.4-ubi", func(o *inventory.OS) string { return o.CPE }, "cpe:/o:redhat:enterprise_linux:8.4:GA"},
		{"ubuntu-18.04", func(o *inventory.OS) string { return strings.Join(o.Pro, " ") }, "esm-apps esm-infra"},
		{"ubuntu-20.04", func(o *inventory.OS) string { return strings.Join(o.Pro, " ") }, ""},
		{"sles-15.1", func(o *inventory.OS) string { return strings.Join(o.Pro, " ") }, "LTSS"},
		{"sles-15.2", func(o *inventory.OS) string { return strings.Join(o.Pro, " ") }, ""},
		{"centos-7.9", func(o *inventory.OS) string { return o.Minor }, "7.9"},
		{"uos-20-1050u2e", func(o *inventory.OS) string { return o.Minor + " " + o.Variant }, "1050u2 e"},
		{"kylin-v10-sp3-2403-productinfo", func(o *inventory.OS) string { return o.Minor + " " + o.Codename }, "SP3-2403 Halberd"},
		{"kylin-desktop-v10-dpkg", func(o *inventory.OS) string { return strings.Join(o.Like, " ") }, "debian"},
		{"openeuler-22.03-lts", func(o *inventory.OS) string { return o.ID }, "openeuler"},
		{"debian-12", func(o *inventory.OS) string { return o.Minor + " " + o.Codename }, "12.5 bookworm"},
	} {
		if got := c.get(Recognize(tree(t, c.folder))); got != c.want {
			t.Errorf("%s: %q, want %q", c.folder, got, c.want)
		}
	}
}

// TestOrder: etc stands before usr/lib, and an unusable file does not hide the next.
func TestOrder(t *testing.T) {
	alpine, debian := []byte("ID=alpine\nVERSION_ID=3.18.3\n"), []byte("ID=debian\nVERSION_ID=12\n")
	if os := Recognize(map[string][]byte{"etc/os-release": alpine, "usr/lib/os-release": debian}); os.ID != "alpine" {
		t.Error(os.ID)
	}
	if os := Recognize(map[string][]byte{"etc/os-release": []byte("junk\n"), "usr/lib/os-release": debian}); os.ID != "debian" {
		t.Error(os.ID)
	}
}

func TestAssignments(t *testing.T) {
	got := assignments([]byte("\xef\xbb\xbf# comment\r\nA=plain\r\nB=\"with \\\"quotes\\\" and \\$ \\x\"\nC='single \\n $x'\nD=a\\ b\n" +
		"E=\"open\nF=\nG = spaced\nH=\"a\"'b'c\nA=later\n=none\nnot an assignment\nI=x=y\nJ=\x01\xffz\n"))
	for name, want := range map[string]string{"A": "later", "B": `with "quotes" and $ \x`, "C": `single \n $x`, "D": "a b", "E": "open", "F": "",
		"H": "abc", "I": "x=y", "J": "z"} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	if len(got) != 9 {
		t.Errorf("%q", got)
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{{"7.9.2009 (Core)", 2, "7.9"}, {"7", 2, "7"}, {"7.", 2, "7"}, {"7.x", 2, "7"}, {"", 1, ""}, {"x7", 1, ""}, {"V10", 1, ""}, {"12.5", 0, ""}, {"123456789", 1, ""}} {
		if got := numbers(c.s, c.n); got != c.want {
			t.Errorf("%q %d: %q, want %q", c.s, c.n, got, c.want)
		}
	}
}

// TestTable: each ID stands for one system, and each line can give a stream that is known.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range systems {
		for _, id := range s.ids {
			if seen[id] || id != strings.ToLower(id) {
				t.Errorf("ID %q", id)
			}
			seen[id] = true
			covered := slices.ContainsFunc(releases, func(c struct{ folder, label, streams string }) bool {
				os := Recognize(tree(t, c.folder))
				return lookup(os.ID) != nil && slices.Contains(lookup(os.ID).ids, id)
			})
			if !covered {
				t.Errorf("no folder of testdata is of ID %q", id)
			}
		}
	}
	for _, b := range banners {
		if lookup(b.id) == nil {
			t.Errorf("banner %q has ID %q, which the table has not", b.begins, b.id)
		}
	}
}

func FuzzRecognize(f *testing.F) {
	for _, c := range releases {
		files := tree(f, c.folder)
		for name, data := range files {
			f.Add(name, data, files["etc/os-release"])
		}
	}
	f.Fuzz(func(t *testing.T, name string, data, osRelease []byte) {
		os := Recognize(map[string][]byte{"etc/os-release": osRelease, name: data})
		if os == nil {
			return
		}
		if os.Release == "" || strings.ContainsAny(os.Release, "\n\r\x00") || len(os.Release) > 4*maxValue {
			t.Errorf("release %q", os.Release)
		}
		for _, s := range os.Streams {
			if !advisory.KnownStream(s) {
				t.Errorf("stream %q", s)
			}
		}
	})
}
