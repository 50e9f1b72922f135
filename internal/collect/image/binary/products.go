package binary

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// product is something that is recognised by its strings. Names are Bitnami's where it has the product.
type product struct {
	name string
	cpes []string // "vendor:product"
	// files are patterns for base names (path.Match). Without them the anchors are looked for in every program, and must be
	// at least eleven bytes long, so that the search stays fast.
	files   []string
	anchors []string
	// read takes a version from what stands around an anchor: before ends where after begins, and after begins with the
	// anchor. false: this is something else.
	read func(before, after []byte) (sight, bool)
	// bare says of strings that are nothing but a version whether they may be this one's. Then the anchors, if any, must
	// be in the file too, and of several versions the highest is taken.
	bare func(file, version string) bool
}

// sight is what one place in a file says.
type sight struct {
	version string
	name    string   // when it is a relative of the product
	cpes    []string // of the relative
	text    string   // the longer text that the version was taken from, for products whose releases have several names
}

// sighting gathers what a file says on one product.
type sighting struct {
	sight
	anchored bool
}

// products are all that is known. Add one by adding an entry and a window of a real file to the tests.
var products = []product{
	{name: "nginx", cpes: []string{"nginx:nginx", "f5:nginx"}, anchors: []string{"nginx version: "}, read: readNginx},
	{name: "php", cpes: []string{"php:php"}, anchors: []string{"X-Powered-By: PHP/"}, read: next("X-Powered-By: PHP/")},
	{name: "node", cpes: []string{"nodejs:node.js"}, anchors: []string{"nodejs.org/download/release/v"}, read: readNode},
	{name: "perl", cpes: []string{"perl:perl"}, anchors: []string{"This is perl "}, read: readPerl},
	{name: "sybase-ase", cpes: []string{"sybase:adaptive_server_enterprise", "sap:adaptive_server_enterprise"}, anchors: []string{"Adaptive Server Enterprise/"}, read: readASE},
	{name: "haproxy", cpes: []string{"haproxy:haproxy"}, anchors: []string{", released 20", "HA-Proxy version "}, read: readHAProxy},
	{name: "mariadb", cpes: []string{"mariadb:mariadb"}, files: []string{"mariadbd", "mysqld", "mariadbd-*", "libmariadbd.so*"}, anchors: []string{"-MariaDB"}, read: readMariaDB},
	{name: "mysql", cpes: []string{"oracle:mysql", "mysql:mysql"}, files: []string{"mysqld", "mysqld-debug"}, anchors: []string{"/mysql-", "/mysql-commercial-", "/percona-server-"}, read: readMySQL},
	{name: "apache", cpes: []string{"apache:http_server"}, files: []string{"httpd", "httpd*", "apache2", "apache2-*"}, anchors: []string{"Apache/2."}, read: readApache},
	{name: "postgresql", cpes: []string{"postgresql:postgresql"}, files: []string{"postgres", "postmaster", "edb-postgres"}, anchors: []string{"postgres (PostgreSQL) "}, read: next("postgres (PostgreSQL) ")},
	{name: "memcached", cpes: []string{"memcached:memcached"}, files: []string{"memcached*"}, anchors: []string{"memcached 1."}, read: next("memcached ")},
	{name: "redis", cpes: []string{"redis:redis", "redislabs:redis"}, files: []string{"redis-server*", "redis-check-*", "redis-sentinel"}, anchors: []string{"redis_version:%s"}, bare: notOver(9)},
	{name: "valkey", cpes: []string{"lfprojects:valkey", "valkey-io:valkey"}, files: []string{"valkey-server*", "valkey-check-*", "valkey-sentinel"}, anchors: []string{"valkey_version:%s"}, bare: notOver(12)},
	{name: "openjdk", cpes: []string{"oracle:openjdk"}, files: []string{"libjvm.so"}, anchors: []string{" JRE ("}, read: readJVM},
	{name: "python", cpes: []string{"python:python"}, files: []string{"python", "python[23]", "python[23].*", "libpython*.so*"}, anchors: []string{"PYTHONHOME"}, bare: isPython},
	{name: "ruby", cpes: []string{"ruby-lang:ruby"}, files: []string{"ruby", "ruby[1-9]*", "libruby*.so*"}, anchors: []string{"ruby "}, read: readRuby},
	{name: "openssl", cpes: []string{"openssl:openssl"}, files: []string{"libcrypto.so*", "libcrypto-*.so", "libcrypto3.so*"}, anchors: []string{"OpenSSL "}, read: readOpenSSL},
	{name: "busybox", cpes: []string{"busybox:busybox"}, files: []string{"busybox*"}, anchors: []string{"BusyBox v"}, read: next("BusyBox v")},
	{name: "bash", cpes: []string{"gnu:bash"}, files: []string{"bash", "bash-*"}, anchors: []string{"@(#)Bash version "}, read: next("@(#)Bash version ")},
	{name: "glibc", cpes: []string{"gnu:glibc"}, files: []string{"libc.so.6", "libc-2.*.so"}, anchors: []string{" release version "}, read: readGlibc},
	{name: "zlib", cpes: []string{"zlib:zlib"}, files: []string{"libz.so*"}, anchors: []string{"deflate 1."}, read: next("deflate ")},
	{name: "sqlite", cpes: []string{"sqlite:sqlite"}, files: []string{"libsqlite3.so*"}, anchors: []string{"sqlite_master"}, bare: major("3")},
	{name: "curl", cpes: []string{"haxx:libcurl", "haxx:curl"}, files: []string{"libcurl.so*", "libcurl-*.so*"}, anchors: []string{"CLIENT libcurl ", "libcurl/"}, read: readCurl},
	{name: "curl", cpes: []string{"haxx:curl"}, files: []string{"curl", "curl-*"}, anchors: []string{"curl/"}, read: next("curl/")},
	{name: "expat", cpes: []string{"libexpat_project:libexpat"}, files: []string{"libexpat.so*"}, anchors: []string{"expat_2."}, read: next("expat_")},
	{name: "lua", cpes: []string{"lua:lua"}, files: []string{"lua", "lua5*", "luajit*", "liblua*.so*"}, anchors: []string{"Lua 5."}, read: readLua},
	{name: "varnish", cpes: []string{"varnish-software:varnish_cache", "varnish_cache_project:varnish_cache"}, files: []string{"varnishd"}, anchors: []string{"varnish-"}, read: next("varnish-")},
	{name: "lighttpd", cpes: []string{"lighttpd:lighttpd"}, files: []string{"lighttpd*"}, anchors: []string{"lighttpd/1."}, read: next("lighttpd/")},
	{name: "envoy", cpes: []string{"envoyproxy:envoy"}, files: []string{"envoy", "envoy-*"}, anchors: []string{"envoy.reloadable_features"}, bare: major("1")},
	{name: "db2", cpes: []string{"ibm:db2"}, files: []string{"db2sysc", "db2level", "libdb2e.so*", "libdb2.so*", "libdb2g11n.so*"}, anchors: []string{"DB2 v", "DB2 V"}, read: readDB2},
}

// named reports whether a product is known by a file of this base name.
func named(base string) bool {
	return slices.ContainsFunc(products, func(p product) bool { return p.fits(base) })
}

func (p *product) fits(base string) bool {
	return slices.ContainsFunc(p.files, func(pattern string) bool {
		ok, _ := path.Match(pattern, base)
		return ok
	})
}

// see handles an anchor of p at buf[at:]. The first place that gives a version holds.
func (s *Scanner) see(p *product, at int) {
	seen := s.found[p]
	if p.read == nil {
		if seen == nil {
			seen = &sighting{}
			s.found[p] = seen
		}
		seen.anchored = true
		return
	}
	if seen != nil {
		return
	}
	one, ok := p.read(s.buf[max(0, at-256):at], s.buf[at:min(at+512, len(s.buf))])
	if ok && one.version != "" && len(one.version) < 64 {
		s.found[p] = &sighting{sight: one, anchored: true}
	}
}

// bareVersions looks for strings that are nothing but a version of three numbers.
func (s *Scanner) bareVersions(from, to int) {
	b := s.buf
	for at := from; at < to; at++ {
		i := bytes.IndexByte(b[at:to], '.')
		if i < 0 {
			return
		}
		at += i
		begin := at
		for begin > 0 && at-begin < 4 && b[begin-1]-'0' <= 9 {
			begin--
		}
		if begin == at || begin > 0 && b[begin-1] != 0 {
			continue
		}
		end := begin
		for end < len(b) && end-begin < 32 && b[end] != 0 {
			end++
		}
		if end == len(b) || !isBare(b[begin:end]) {
			continue
		}
		version := string(b[begin:end])
		for _, p := range s.gated {
			if p.bare == nil || !p.bare(s.base, version) {
				continue
			}
			seen := s.found[p]
			if seen == nil {
				seen = &sighting{}
				s.found[p] = seen
			}
			if seen.version == "" || higher(version, seen.version) {
				seen.version = version
			}
		}
	}
}

// isBare reports whether b is "3.11.2", "3.13.0rc1" or "3.11.2+".
func isBare(b []byte) bool {
	n := release(b)
	if bytes.Count(b[:n], []byte{'.'}) != 2 {
		return false
	}
	rest := strings.TrimSuffix(string(b[n:]), "+")
	return rest == "" || strings.HasPrefix(rest, "rc") || len(rest) > 1 && len(rest) < 4 && (rest[0] == 'a' || rest[0] == 'b') && rest[1]-'0' <= 9
}

// release is the length of the numbers with dots between them at the front of b.
func release(b []byte) int {
	n := 0
	for n < len(b) && n < 32 && (b[n]-'0' <= 9 || n > 0 && b[n] == '.' && n+1 < len(b) && b[n+1]-'0' <= 9) {
		n++
	}
	return n
}

// higher compares versions of numbers.
func higher(a, b string) bool {
	return slices.Compare(numbers(a), numbers(b)) > 0
}

func numbers(v string) []int {
	var out []int
	for part := range strings.SplitSeq(v, ".") {
		n, _ := strconv.Atoi(part[:release([]byte(part))])
		out = append(out, n)
	}
	return out
}

// pack makes the package of what was seen.
func (seen *sighting) pack(p *product, s *Scanner) (inventory.Package, bool) {
	if len(p.anchors) > 0 && !seen.anchored {
		return inventory.Package{}, false
	}
	if p.name == "mysql" && s.has("mariadb") {
		return inventory.Package{}, false
	}
	one := inventory.Package{Type: inventory.Generic, Name: p.name, Component: p.name, Version: strings.TrimSuffix(seen.version, "+"), Evidence: "strings", CPEs: p.cpes}
	if seen.name != "" {
		one.Name, one.Component, one.CPEs = seen.name, seen.name, seen.cpes
	}
	if seen.text != "" {
		one.Settings = map[string]string{"release": seen.text}
	}
	switch one.Name {
	case "openjdk", "oracle-jdk":
		if one.Settings == nil {
			one.Settings = map[string]string{}
		}
		one.Settings["edition"] = one.Name
	}
	if one.Version == "" {
		s.gap(one.Name+" does not say its version in a form that is known", "unsupported")
	}
	return one, true
}

func (s *Scanner) has(name string) bool {
	for p := range s.found {
		if p.name == name {
			return true
		}
	}
	return false
}
