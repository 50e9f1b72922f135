package images

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Jar makes a Java archive as Maven's plug-in writes it: a manifest and pom.properties of the coordinates, and a class. More
// are entries beside, by name.
func Jar(group, artifact, version string, more map[string][]byte) []byte {
	folder := "META-INF/maven/" + group + "/" + artifact + "/"
	entries := map[string][]byte{
		"META-INF/MANIFEST.MF":    []byte("Manifest-Version: 1.0\r\nCreated-By: Maven JAR Plugin 3.4.1\r\nBuild-Jdk-Spec: 17\r\n\r\n"),
		folder + "pom.properties": fmt.Appendf(nil, "artifactId=%s\ngroupId=%s\nversion=%s\n", artifact, group, version),
		folder + "pom.xml": fmt.Appendf(nil, "<project><modelVersion>4.0.0</modelVersion><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></project>\n",
			group, artifact, version),
		strings.ReplaceAll(group, ".", "/") + "/Main.class": class,
	}
	for name, data := range more {
		entries[name] = data
	}
	return Zip(entries)
}

// class is the head of a class file; nobody runs it.
var class = []byte{0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61}

// BareJar makes an archive as Ant builds it: no pom, the name and version in the manifest as title and version, or nowhere.
func BareJar(manifest string, classes ...string) []byte {
	entries := map[string][]byte{"META-INF/MANIFEST.MF": []byte("Manifest-Version: 1.0\r\n" + manifest + "\r\n")}
	for _, c := range classes {
		entries[c] = class
	}
	return Zip(entries)
}

// Zip packs entries, the manifest first, archives stored and the rest deflated.
func Zip(entries map[string][]byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		method := zip.Deflate
		if strings.HasSuffix(name, ".jar") || strings.HasSuffix(name, ".war") {
			method = zip.Store
		}
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method, Modified: stamp})
		must(err)
		_, err = f.Write(entries[name])
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}
