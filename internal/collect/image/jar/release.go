package jar

import (
	"path"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// Release reads the file "release" of a Java runtime: JAVA_VERSION="17.0.4", IMPLEMENTOR="Eclipse Adoptium". The package is
// Generic, called openjdk or oracle-jdk, its version as the file writes it ("1.8.0_201"). false: it is another file.
func Release(p string, data []byte) (inventory.Package, bool) {
	if path.Base(p) != "release" || len(data) > 1<<20 {
		return inventory.Package{}, false
	}
	f := properties(data)
	get := func(key string) string { return strings.Trim(f[key], `"`) }
	version := get("JAVA_VERSION")
	if version == "" || len(version) > 100 || !isDigit(version[0]) {
		return inventory.Package{}, false
	}
	found := inventory.Package{Type: inventory.Generic, Name: "openjdk", Component: "openjdk", Version: version, Path: p, Evidence: "release file", Vendor: get("IMPLEMENTOR"), CPEs: []string{"oracle:openjdk"}}
	// Oracle's own builds say that they are commercial (8), or are made of a closed and an open repository (11 and later);
	// its builds of OpenJDK name one repository only.
	source := get("SOURCE")
	if get("BUILD_TYPE") == "commercial" || strings.HasPrefix(found.Vendor, "Oracle") && strings.Contains(source, "open:") {
		found.Name, found.Component, found.CPEs = "oracle-jdk", "oracle-jdk", []string{"oracle:jdk", "oracle:jre"}
	}
	found.Settings = map[string]string{"edition": found.Name}
	for setting, key := range map[string]string{"runtime-version": "JAVA_RUNTIME_VERSION", "implementor-version": "IMPLEMENTOR_VERSION", "graalvm-version": "GRAALVM_VERSION", "image-type": "IMAGE_TYPE", "jvm-variant": "JVM_VARIANT"} {
		if v := get(key); v != "" && len(v) <= 200 {
			found.Settings[setting] = v
		}
	}
	return found, true
}
