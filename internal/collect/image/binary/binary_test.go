package binary

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

// elf wraps constants into a program that has them in a segment of their own, between machine code and data.
func elf(constants, data []byte) []byte {
	const page = 4096
	code := bytes.Repeat([]byte("nginx version: nginx/9.9.9\x00\x90\x90\x90\x90\x90"), 256) // never looked at
	pad := func(b []byte) []byte { return append(b, make([]byte, (page-len(b)%page)%page)...) }
	parts := [][]byte{make([]byte, page), pad(code), pad(bytes.Clone(constants)), pad(bytes.Clone(data))}
	if len(constants) <= page {
		parts[2] = append(parts[2], make([]byte, page)...)
	}
	out := parts[0]
	copy(out, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(out[16:], 2)
	le.PutUint64(out[32:], 64)
	le.PutUint16(out[54:], 56)
	le.PutUint16(out[56:], 3)
	at := uint64(page)
	for i, flags := range []uint32{5, 4, 6} {
		h := out[64+56*i:]
		le.PutUint32(h, 1)
		le.PutUint32(h[4:], flags)
		le.PutUint64(h[8:], at)
		le.PutUint64(h[16:], 0x400000+at)
		le.PutUint64(h[32:], uint64(len(parts[i+1])))
		at += uint64(len(parts[i+1]))
	}
	return bytes.Join(append([][]byte{out}, parts[1:]...), nil)
}

// scan gives data to a Scanner in pieces of n bytes.
func scan(path string, data []byte, n int) ([]inventory.Package, []inventory.Gap) {
	s := New(path, int64(len(data)))
	for rest := data; len(rest) > 0; {
		k := min(n, len(rest))
		if w, err := s.Write(rest[:k]); w != k || err != nil {
			panic("Write failed")
		}
		rest = rest[k:]
	}
	return s.Packages()
}

func describe(list []inventory.Package) string {
	var out []string
	for _, p := range list {
		out = append(out, fmt.Sprintf("%s %s %s [%s] %s", p.Type, p.Name, p.Version, strings.Join(p.CPEs, " "), p.Evidence))
	}
	return strings.Join(out, "; ")
}

// debian are pieces of real files, by their base names, with what Debian says they are.
var debian = map[string]string{
	"nginx": "nginx 1.22.1 [nginx:nginx f5:nginx]", "apache2": "apache 2.4.71 [apache:http_server]", "postgres": "postgresql 15.20 [postgresql:postgresql]",
	"memcached": "memcached 1.6.18 [memcached:memcached]", "redis-check-rdb": "redis 7.0.15 [redis:redis redislabs:redis]", "mariadbd": "mariadb 10.11.19 [mariadb:mariadb]",
	"haproxy": "haproxy 2.6.12 [haproxy:haproxy]", "php8.2": "php 8.2.35 [php:php]", "libnode.so.108": "node 18.20.4 [nodejs:node.js]",
	"libjvm.so": "openjdk 17.0.21 [oracle:openjdk]", "python3.11": "python 3.11.2 [python:python]", "perl": "perl 5.36.0 [perl:perl]",
	"libruby-3.1.so.3.1.2": "ruby 3.1.2 [ruby-lang:ruby]", "libcrypto.so.3": "openssl 3.0.22 [openssl:openssl]", "busybox": "busybox 1.35.0 [busybox:busybox]",
	"libc.so.6": "glibc 2.36 [gnu:glibc]", "libz.so.1.2.13": "zlib 1.2.13 [zlib:zlib]", "lua5.4": "lua 5.4.4 [lua:lua]", "bash": "bash 5.2.15 [gnu:bash]",
	"libcurl.so.4.8.0": "curl 7.88.1 [haxx:libcurl haxx:curl]", "curl": "curl 7.88.1 [haxx:curl]", "libsqlite3.so.0.8.6": "sqlite 3.40.1 [sqlite:sqlite]",
	"libexpat.so.1.8.10": "expat 2.5.0 [libexpat_project:libexpat]", "varnishd": "varnish 7.1.1 [varnish-software:varnish_cache varnish_cache_project:varnish_cache]",
	"lighttpd": "lighttpd 1.4.69 [lighttpd:lighttpd]",
}

func TestDebian(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.window")
	if len(files) != len(debian) {
		t.Fatalf("%d files, %d expectations", len(files), len(debian))
	}
	for _, file := range files {
		window, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		base := strings.TrimSuffix(filepath.Base(file), ".window")
		want := "generic " + debian[base] + " strings"
		program := elf(window, []byte("data"))
		if !Wants("usr/bin/"+base, 0o755, int64(len(program)), program[:512]) {
			t.Errorf("%s is not wanted", base)
		}
		// Far into the file and over the borders of blocks too.
		for _, before := range []int{0, blockSize - 700, 3 * blockSize} {
			program := elf(append(bytes.Repeat([]byte{'.', 0, '1'}, before/3), window...), nil)
			for _, n := range []int{1 << 20, 4095, 1} {
				if n == 1 && before > 0 {
					continue
				}
				if found, gaps := scan("usr/bin/"+base, program, n); describe(found) != want || len(gaps) > 0 {
					t.Errorf("%s, %d bytes before, in pieces of %d:\n got %s %v\nwant %s", base, before, n, describe(found), gaps, want)
				}
			}
		}
	}
}

func TestProducts(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"nginx", "nginx version: openresty/1.25.3.1\x00", "generic openresty 1.25.3.1 [openresty:openresty] strings"},
		{"web", "\x00nginx version: nginx/1.27.0\nbuilt", "generic nginx 1.27.0 [nginx:nginx f5:nginx] strings"},
		{"haproxy", "HA-Proxy version 1.8.19-1+deb10u3 2020/08/01\n", "generic haproxy 1.8.19 [haproxy:haproxy] strings"},
		{"mysqld", "8.0.36\x00/export/home/pb2/build/rpm/BUILD/mysql-8.0.36/mysql-8.0.36/sql/mysqld.cc\x00", "generic mysql 8.0.36 [oracle:mysql mysql:mysql] strings"},
		{"mysqld", "/build/percona-server-8.0.35-27/sql/mysqld.cc\x00", "generic percona-server 8.0.35 [percona:percona_server oracle:mysql] strings"},
		{"mysqld", "/x/mysql-8.0.36/sql/a.cc\x00\x0010.6.16-MariaDB-log\x00", "generic mariadb 10.6.16 [mariadb:mariadb] strings"},
		{"libjvm.so", "\x00OpenJDK 64-Bit Server VM (25.392-b08) for linux-amd64 JRE (1.8.0_392-b08), built on Oct 17 2023\x00", "generic openjdk 1.8.0_392 [oracle:openjdk] strings"},
		{"libjvm.so", "\x00Java HotSpot(TM) 64-Bit Server VM (21+35-LTS-2513) for linux-amd64 JRE (21+35-LTS-2513), built on\x00", "generic oracle-jdk 21 [oracle:jdk oracle:jre] strings"},
		{"libcrypto.so.1.1", "OpenSSL 1.1.1w  11 Sep 2023\x00", "generic openssl 1.1.1w [openssl:openssl] strings"},
		{"libcrypto.so.10", "OpenSSL 1.0.2k-fips  26 Jan 2017\x00", "generic openssl 1.0.2k [openssl:openssl] strings"},
		{"valkey-server", "valkey_version:%s\x00\x007.2.4\x008.0.1\x006.2.0\x00", "generic valkey 8.0.1 [lfprojects:valkey valkey-io:valkey] strings"},
		{"dataserver", "\x00Adaptive Server Enterprise/16.0 SP03 PL08/EBF 29143 SMP/P/x86_64/SLES 11.1/ase160sp03pl08x/3346/64-bit/OPT\x00", "generic sybase-ase 16.0.03.08 [sybase:adaptive_server_enterprise sap:adaptive_server_enterprise] strings"},
		{"dataserver", "\x00Adaptive Server Enterprise/15.0.3/EBF 16550 ESD#1/P/Linux\x00", "generic sybase-ase 15.0.3 [sybase:adaptive_server_enterprise sap:adaptive_server_enterprise] strings"},
		{"db2sysc", "\x00DB2 v11.5.8.0\x00", "generic db2 11.5.8.0 [ibm:db2] strings"},
		{"python3", "PYTHONHOME\x003.2.0\x00\x003.13.0rc1\x00", "generic python 3.13.0rc1 [python:python] strings"},
		{"libperl.so.5.30", "\nThis is perl 5, version 30, subversion 3 (v5.30.3) built for", "generic perl 5.30.3 [perl:perl] strings"},
		{"envoy", "envoy.reloadable_features.x\x00\x001.27.2\x00", "generic envoy 1.27.2 [envoyproxy:envoy] strings"},
		{"httpd", "Apache/2\x00Apache/2.4\x00Apache/2.4.37 (Red Hat Enterprise Linux)\x00", "generic apache 2.4.37 [apache:http_server] strings"},
		// Near misses.
		{"curl", "OpenSSL 3.0.1 14 Dec 2021\x00", ""},
		{"libcrypto.so.3", "since OpenSSL 3.0.0 it is", ""},
		{"tool", "postgres (PostgreSQL) 15.20\n\x00Server: Apache/2.4.1\x00nginx/1.22.1\x00nodejs.org/download/release/vX", ""},
		{"haproxy", "not supported any more since HAProxy version 2.5, released 2021/x", ""},
		{"python3.11", "\x003.12.1\x00", ""},
	} {
		program := elf(append(make([]byte, 16), c.text...), nil)
		found, _ := scan("opt/"+c.file, program, 1000)
		if got := describe(found); got != c.want {
			t.Errorf("%s %q:\n got %s\nwant %s", c.file, c.text, got, c.want)
		}
	}
	// A product whose version is not found is still named, with a gap.
	found, gaps := scan("redis-server", elf([]byte("redis_version:%s\x00"), nil), 100)
	if describe(found) != "generic redis  [redis:redis redislabs:redis] strings" || len(gaps) != 1 || gaps[0].Code != "unsupported" {
		t.Errorf("redis without a version: %v %v", found, gaps)
	}
}

func TestAuditable(t *testing.T) {
	list := `{"packages":[{"name":"till","version":"0.1.0","source":"local","root":true,"dependencies":[1]},{"name":"serde","version":"1.0.190","source":"crates.io"},{"name":"cc","version":"1.0.0","source":"crates.io","kind":"build"}` + strings.Repeat(`,{"name":"more","version":"0.2.1","source":"crates.io"}`, 3) + `]}`
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, _ = z.Write([]byte(list))
	_ = z.Close()
	if packed.Bytes()[2]&6 != 4 {
		t.Fatal("the list must be packed with its own codes, as real ones are")
	}
	noise := bytes.Repeat([]byte("x\x9c\xedx\xda\xbd\x05xyz"), 5000)
	program := elf(append(append(noise, packed.Bytes()...), make([]byte, 9000)...), nil)
	for _, n := range []int{1, 777, 1 << 20} {
		found, gaps := scan("usr/bin/till", program, n)
		want := "cargo till 0.1.0 [] build info; cargo serde 1.0.190 [] build info" + strings.Repeat("; cargo more 0.2.1 [] build info", 3)
		if got := describe(found); got != want || len(gaps) > 0 {
			t.Errorf("pieces of %d: got %s %v", n, got, gaps)
		}
	}
	cut := elf(append(noise, packed.Bytes()[:packed.Len()-20]...), nil)
	if found, gaps := scan("till", cut, 4096); len(found) != 0 || len(gaps) != 1 || gaps[0].Code != "broken" {
		t.Errorf("cut list: %v %v", found, gaps)
	}
}

func TestWants(t *testing.T) {
	program := elf([]byte("x"), nil)[:512]
	object := bytes.Clone(program)
	object[16] = 1
	for _, c := range []struct {
		path string
		mode fs.FileMode
		size int64
		head []byte
		want bool
	}{
		{"usr/bin/any", 0o755, 1 << 20, program, true}, {"usr/bin/any", 0o644, 1 << 20, program, false}, {"usr/bin/any", 0o755, 100, program, false},
		{"usr/lib/libfoo.so.1", 0o755, 1 << 20, program, false}, {"usr/lib/libcrypto.so.1.1", 0o644, 1 << 20, program, true}, {"lib/libphp8.2.so", 0o644, 1 << 20, program, true},
		{"usr/lib/libpython3.11.so.1.0", 0o644, 1 << 20, program, true}, {"x/mod_ssl.so", 0o755, 1 << 20, program, false}, {"bin/x", fs.ModeSymlink | 0o777, 1 << 20, program, false},
		{"x/a.o", 0o755, 1 << 20, object, false}, {"x.dll", 0o755, 1 << 20, []byte("MZ\x90\x00"), false}, {"x.EXE", 0o644, 1 << 20, []byte("MZ\x90\x00"), true},
		{"usr/bin/script", 0o755, 1 << 20, []byte("#!/bin/sh\n"), false}, {"usr/bin/short", 0o755, 1 << 20, []byte("\x7fELF"), false},
		{"usr/sbin/postgres", 0o644, 1 << 20, program, true}, {"usr/bin/json.sort", 0o755, 1 << 20, program, true},
	} {
		if got := Wants(c.path, c.mode, c.size, c.head); got != c.want {
			t.Errorf("Wants(%s, %v, %d) = %v", c.path, c.mode, c.size, got)
		}
	}
}

func TestPacked(t *testing.T) {
	program := elf([]byte("x"), nil)
	copy(program[300:], "UPX!")
	if found, gaps := scan("till", program, 4096); len(found) != 0 || len(gaps) != 1 || !strings.Contains(gaps[0].Reason, "UPX") {
		t.Errorf("packed: %v %v", found, gaps)
	}
}

// TestMatcher holds the search to strings.Index.
func TestMatcher(t *testing.T) {
	m := newMatcher([]literal{{"abcabd", 1}, {"bcabdd", 2}, {"abcabdabc", 3}, {"\x00\x00\x00\x00\x00\x01", 4}})
	for _, text := range []string{"", "abcabd", "xabcabdd", strings.Repeat("abcabdabcabdd", 9), "\x00\x00\x00\x00\x00\x00\x01abcab", "abcabdabcabd"} {
		want, got := map[string]bool{}, map[string]bool{}
		for id, l := range []string{"", "abcabd", "bcabdd", "abcabdabc", "\x00\x00\x00\x00\x00\x01"} {
			for i := range text {
				if id > 0 && strings.HasPrefix(text[i:], l) {
					want[fmt.Sprint(i, " ", id)] = true
				}
			}
		}
		m.search([]byte(text), 0, len(text), func(at int, id uint16) { got[fmt.Sprint(at, " ", id)] = true })
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func unpack(t testing.TB, file string) []byte {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func FuzzScanner(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.window")
	for _, file := range files {
		window, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(strings.TrimSuffix(filepath.Base(file), ".window"), elf(window, nil), uint16(1000))
	}
	old := unpack(f, "testdata/go1.16.15.gz")
	f.Add("kubelet", old[:8192], uint16(4096))
	info := make([]byte, 4096)
	copy(info, buildInfoMagic+"\x08\x02")
	copy(info[headerSize:], "\x08go1.26.8\x40"+moduleStart+"path\tx\nmod\tx\tv1.2.3\t\n")
	f.Add("x", elf([]byte("\x04\x00\x00\x00Go\x00\x00v1.2.3\x00go1.26.8\x00"), info), uint16(333))
	f.Add("mysqld", []byte("MZ"+string(info)), uint16(7))
	f.Fuzz(func(t *testing.T, name string, data []byte, n uint16) {
		Wants(name, 0o755, int64(len(data)), data[:min(512, len(data))])
		whole, wholeGaps := scan(name, data, len(data)+1)
		parts, partGaps := scan(name, data, int(n)+1)
		if !reflect.DeepEqual(whole, parts) || !reflect.DeepEqual(wholeGaps, partGaps) {
			t.Fatalf("in one piece %v %v, in pieces of %d %v %v", whole, wholeGaps, int(n)+1, parts, partGaps)
		}
	})
}
