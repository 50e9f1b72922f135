package binary

import (
	"bytes"
	"strings"
)

// next reads the version that follows the prefix of an anchor: numbers with at least one dot, and a letter or "rc" number
// if they end so ("1.1.1w", "2.4.0rc1").
func next(prefix string) func(_, after []byte) (sight, bool) {
	return func(_, after []byte) (sight, bool) {
		v := numbered(after[min(len(prefix), len(after)):])
		return sight{version: v}, v != ""
	}
}

// numbered is the version at the front of b, or "".
func numbered(b []byte) string {
	n := release(b)
	if n < 3 || bytes.IndexByte(b[:n], '.') < 0 {
		return ""
	}
	rest := b[n:]
	for _, mark := range []string{"rc", "RC", "beta", "alpha", "-rc", "-RC"} {
		if bytes.HasPrefix(rest, []byte(mark)) {
			if d := release(rest[len(mark):]); d > 0 {
				return string(b[:n+len(mark)+d])
			}
		}
	}
	return string(b[:n])
}

// line is the text from b's front to its first byte that is no printable character.
func line(b []byte) string {
	n := 0
	for n < len(b) && b[n] >= ' ' && b[n] < 0x7f {
		n++
	}
	return string(b[:n])
}

// readApache reads "Apache/2.4.71"; the program also has the shorter forms that ServerTokens asks for.
func readApache(_, after []byte) (sight, bool) {
	version := numbered(after[len("Apache/"):])
	return sight{version: version}, strings.Count(version, ".") == 2
}

// readNginx knows nginx and those made of it: "nginx version: openresty/1.25.3.1".
func readNginx(_, after []byte) (sight, bool) {
	name, rest, ok := bytes.Cut(after[min(len("nginx version: "), len(after)):], []byte("/"))
	if !ok {
		return sight{}, false
	}
	one := sight{version: numbered(rest)}
	switch string(name) {
	case "nginx":
	case "openresty":
		one.name, one.cpes = "openresty", []string{"openresty:openresty"}
	default:
		return sight{}, false
	}
	return one, one.version != ""
}

// readNode reads "https://nodejs.org/download/release/v18.20.4/node-v18.20.4.tar.gz".
func readNode(_, after []byte) (sight, bool) {
	text := strings.TrimPrefix(line(after), "nodejs.org/download/release/v")
	version := numbered([]byte(text))
	return sight{version: version}, version != "" && strings.HasPrefix(text, version+"/node-v"+version)
}

// readPerl reads "This is perl 5, version 36, subversion 0 (" and the older "This is perl, v5.8.8 built for".
func readPerl(_, after []byte) (sight, bool) {
	text := strings.TrimPrefix(line(after), "This is perl ")
	if !strings.HasPrefix(text, "5, version ") {
		return sight{}, false
	}
	minor := strings.TrimPrefix(text, "5, version ")
	minor, patch, ok := strings.Cut(minor, ", subversion ")
	if n := release([]byte(patch)); ok && n > 0 && n < 4 && minor != "" && len(minor) < 4 && release([]byte(minor)) == len(minor) {
		return sight{version: "5." + minor + "." + patch[:n]}, true
	}
	return sight{}, false
}

// readASE reads "Adaptive Server Enterprise/16.0 SP03 PL08/EBF 29143 SMP/P/x86_64/SLES 11.1/...": service pack and patch
// level become further numbers, 16.0.03.08. Older releases have three numbers or more of their own: "15.0.3/EBF 16550 ESD#1".
func readASE(_, after []byte) (sight, bool) {
	text := strings.TrimPrefix(line(after), "Adaptive Server Enterprise/")
	version := numbered([]byte(text))
	if version == "" {
		return sight{}, false
	}
	full, _, _ := strings.Cut(text, "/")
	full = strings.TrimSpace(full)
	for _, mark := range []string{" SP", " PL"} {
		if _, rest, ok := strings.Cut(full, mark); ok {
			if n := release([]byte(rest)); n > 0 && n < 4 {
				version += "." + rest[:n]
			}
		}
	}
	if build := strings.Split(text, "/"); len(build) > 1 && strings.HasPrefix(build[1], "EBF") {
		full += "/" + build[1]
	}
	return sight{version: version, text: full}, true
}

// readHAProxy reads " version 2.6.12-1+deb12u4, released 2026/10/17", and "HA-Proxy version 1.8.19 2019/02/11" of old.
func readHAProxy(before, after []byte) (sight, bool) {
	if rest, ok := bytes.CutPrefix(after, []byte("HA-Proxy version ")); ok {
		v := numbered(rest)
		return sight{version: v}, v != ""
	}
	i := bytes.LastIndex(before, []byte("version "))
	if i < 0 || len(before)-i > 80 || bytes.IndexByte(before[i:], 0) >= 0 {
		return sight{}, false
	}
	if len(after) < 21 || after[15] != '/' || after[18] != '/' { // ", released 2026/10/17"
		return sight{}, false
	}
	v := numbered(before[i+len("version "):])
	return sight{version: v}, v != ""
}

// readMariaDB reads "10.11.19-MariaDB", a string of its own.
func readMariaDB(before, _ []byte) (sight, bool) {
	i := bytes.LastIndexByte(before, 0) + 1
	text := before[i:]
	if i == 0 || release(text) != len(text) || bytes.Count(text, []byte(".")) != 2 {
		return sight{}, false
	}
	return sight{version: string(text)}, true
}

// readMySQL reads the names of the source files it was built from: ".../rpm/BUILD/mysql-8.0.36/mysql-8.0.36/sql/mysqld.cc".
func readMySQL(_, after []byte) (sight, bool) {
	text := line(after)
	one := sight{}
	for _, prefix := range []string{"/mysql-commercial-", "/mysql-", "/percona-server-"} {
		rest, ok := strings.CutPrefix(text, prefix)
		if !ok {
			continue
		}
		one.version = numbered([]byte(rest))
		if prefix == "/percona-server-" {
			one.name, one.cpes = "percona-server", []string{"percona:percona_server", "oracle:mysql"}
		}
		return one, strings.Count(one.version, ".") == 2 && strings.Contains(rest, "/")
	}
	return sight{}, false
}

// readJVM reads "OpenJDK 64-Bit Server VM (25.392-b08) for linux-amd64 JRE (1.8.0_392-b08), built on ...". Oracle's own
// builds call the machine "Java HotSpot(TM)". The version is written as the file "release" of a JDK has it.
func readJVM(before, after []byte) (sight, bool) {
	text := strings.TrimPrefix(line(after), " JRE (")
	version := strings.TrimSuffix(numbered([]byte(text)), ".")
	if version == "" {
		// "21+35" has no dot.
		if n := release([]byte(text)); n > 0 && strings.HasPrefix(text[n:], "+") {
			version = text[:n]
		}
	}
	if version == "" {
		return sight{}, false
	}
	if update, ok := strings.CutPrefix(text[len(version):], "_"); ok {
		version += "_" + update[:release([]byte(update))]
	}
	full, _, _ := strings.Cut(text, ")")
	one := sight{version: version, text: full}
	name := before[bytes.LastIndexByte(before, 0)+1:]
	switch {
	case bytes.HasPrefix(name, []byte("Java HotSpot(TM)")):
		one.name, one.cpes = "oracle-jdk", []string{"oracle:jdk", "oracle:jre"}
	case !bytes.Contains(name, []byte(" VM (")):
		return sight{}, false
	}
	return one, true
}

// readRuby reads "ruby 3.1.2p20 (2022-04-12 revision 4491bb740a) [x86_64-linux-gnu]".
func readRuby(_, after []byte) (sight, bool) {
	text := strings.TrimPrefix(line(after), "ruby ")
	version := numbered([]byte(text))
	if strings.Count(version, ".") != 2 {
		return sight{}, false
	}
	rest := text[len(version):]
	if patch, ok := strings.CutPrefix(rest, "p"); ok {
		rest = patch[release([]byte(patch)):]
	}
	return sight{version: version}, strings.HasPrefix(rest, " (20")
}

// readOpenSSL reads "OpenSSL 3.0.22 25 Aug 2026", "OpenSSL 1.1.1w  11 Sep 2023" and "OpenSSL 1.0.2k-fips  26 Jan 2017".
func readOpenSSL(_, after []byte) (sight, bool) {
	text := strings.TrimPrefix(line(after), "OpenSSL ")
	version := numbered([]byte(text))
	if strings.Count(version, ".") != 2 {
		return sight{}, false
	}
	rest := text[len(version):]
	for rest != "" && rest[0]-'a' < 26 && len(version) < 10 {
		version, rest = version+rest[:1], rest[1:]
	}
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "-fips"), " ")
	// A day, so that sentences about versions are left alone.
	return sight{version: version}, len(rest) > 6 && (rest[0]-'0' <= 9) && (rest[1] == ' ' || rest[2] == ' ')
}

// readGlibc reads "GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.".
func readGlibc(before, after []byte) (sight, bool) {
	if !bytes.Contains(before, []byte("GNU C Library ")) {
		return sight{}, false
	}
	version := numbered(after[len(" release version "):])
	return sight{version: version}, version != ""
}

// readCurl reads "CLIENT libcurl 7.88.1" and "libcurl/8.5.0".
func readCurl(_, after []byte) (sight, bool) {
	text := strings.TrimPrefix(strings.TrimPrefix(line(after), "CLIENT libcurl "), "libcurl/")
	version := numbered([]byte(text))
	return sight{version: version}, strings.Count(version, ".") == 2
}

// readLua reads "Lua 5.4.4  Copyright (C) 1994-2022 Lua.org, PUC-Rio".
func readLua(_, after []byte) (sight, bool) {
	text := strings.TrimPrefix(line(after), "Lua ")
	version := numbered([]byte(text))
	return sight{version: version}, version != "" && strings.HasPrefix(strings.TrimLeft(text[len(version):], " "), "Copyright")
}

// readDB2 reads "DB2 v11.5.8.0", the token that db2level shows.
func readDB2(_, after []byte) (sight, bool) {
	version := numbered(after[len("DB2 v"):])
	return sight{version: version}, strings.Count(version, ".") == 3
}

// major takes bare versions with this first number.
func major(number string) func(file, version string) bool {
	return func(_, version string) bool { return strings.HasPrefix(version, number+".") }
}

// notOver takes bare versions up to a first number. The tables of Redis name the versions in which commands came: the
// highest is the program's own.
func notOver(limit int) func(file, version string) bool {
	return func(_, version string) bool { n := numbers(version)[0]; return n > 0 && n <= limit }
}

// isPython takes what agrees with the file's name: "python3.11" is 3.11.2. Python's tables have other versions (Unicode's).
func isPython(file, version string) bool {
	named := strings.TrimPrefix(strings.TrimPrefix(file, "lib"), "python")
	if n := release([]byte(named)); n > 2 {
		return strings.HasPrefix(version, named[:n]+".")
	}
	// 3.2.0 is an old Unicode's number, which every Python has.
	return (strings.HasPrefix(version, "3.") || strings.HasPrefix(version, "2.7.")) && version != "3.2.0"
}
