package jar

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"testing"
)

func FuzzRead(f *testing.F) {
	lang := build(f, props("org.apache.commons", "commons-lang3", "3.12.0"), mf("Implementation-Title: x"), text("META-INF/maven/a/b/pom.xml", "<project><version>1</version></project>"))
	f.Add(lang)
	f.Add(build(f, file{"a.jar", lang, true}, file{"b.jar", lang, false}, class("org/apache/logging/log4j/core/net/JndiManager.class")))
	f.Add(build(f, text("META-INF/resources/webjars/bootstrap/3.3.7/a.js", ""), text("org/apache/catalina/util/ServerInfo.properties", "server.info=Apache Tomcat/9.0.1")))
	f.Add(withComment(lang, "comment"))
	f.Add(append([]byte("#!/bin/sh\n"), lang...))
	f.Fuzz(func(t *testing.T, data []byte) {
		o := Options{MaxBytes: 16 << 20, MaxEntries: 10_000, MaxDepth: 3}
		packages, gaps, _ := Read(bytes.NewReader(data), int64(len(data)), "x.jar", o)
		for _, p := range packages {
			if p.Name == "" || p.Path == "" || p.SHA1 == "" {
				t.Fatalf("%+v", p)
			}
		}
		if len(gaps) > maxGaps+1 {
			t.Fatal(len(gaps))
		}
	})
}

// FuzzHeaders damages a good archive: the input is a list of places (two bytes) and what to write there (one byte).
func FuzzHeaders(f *testing.F) {
	inner := build(f, props("org.example", "till", "1.0"), mf("Implementation-Title: x"), class("org/apache/logging/log4j/core/net/JndiManager.class"))
	seed := build(f, file{"a.jar", inner, true}, file{"b.jar", inner, false}, text("META-INF/maven/a/b/pom.xml", "<project><version>1</version></project>"))
	for _, at := range []int{4, 18, 26, 28, len(seed) - 22 + 10, len(seed) - 22 + 12, len(seed) - 22 + 16, bytes.Index(seed, centralMark) + 20, bytes.Index(seed, centralMark) + 24, bytes.Index(seed, centralMark) + 42} {
		f.Add([]byte{byte(at >> 8), byte(at), 0xff, byte((at + 1) >> 8), byte(at + 1), 0xff})
	}
	f.Fuzz(func(t *testing.T, patches []byte) {
		data := slices.Clone(seed)
		for ; len(patches) >= 3; patches = patches[3:] {
			data[int(binary.BigEndian.Uint16(patches))%len(data)] = patches[2]
		}
		packages, gaps, err := Read(bytes.NewReader(data), int64(len(data)), "x.jar", Options{MaxBytes: 1 << 20, MaxEntries: 1000})
		if len(packages) == 0 && len(gaps) == 0 && err == nil && bytes.Equal(data, seed) {
			t.Fatal("nothing found and nothing said")
		}
	})
}

func FuzzTexts(f *testing.F) {
	f.Add([]byte("Implementation-Title: a\r\n b\r\n\r\n"))
	f.Add([]byte("version=1\\\n  2\ngroupId:\\u0041"))
	f.Add([]byte("<project><parent><version>${a}</version></parent><properties><a>${b}</a><b>${a}</b></properties></project>"))
	f.Add([]byte("JAVA_VERSION=\"1.8.0_201\""))
	f.Fuzz(func(t *testing.T, data []byte) {
		parseManifest(data).names()
		parseServerInfo(data)
		parseProperties(data, "META-INF/maven/a/b")
		if p, _ := parsePOM(data, "META-INF/maven/a/b"); len(data) > 0 && p.artifact == "" {
			t.Fatal("the folder's artefact is lost")
		}
		Release("x/release", data)
		name := parseName(string(data))
		ofRepository(string(data), name)
		groups().find(cmp.Or(name.artifact, "a"), name.version, nil)
	})
}
