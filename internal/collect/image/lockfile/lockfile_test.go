package lockfile

import (
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

func TestSettle(t *testing.T) {
	p := func(t inventory.PackageType, name, version, path, evidence string) inventory.Package {
		return inventory.Package{Type: t, Name: name, Version: version, Path: path, Evidence: evidence}
	}
	all := []inventory.Package{
		p(inventory.NPM, "ws", "8.0.0", "app/node_modules/ws/package.json", "manifest"),
		p(inventory.NPM, "fsevents", "2.0.0", "app/package-lock.json", Evidence), // another platform's: the tree does not have it
		p(inventory.NPM, "ws", "8.0.0", "other/package-lock.json", Evidence),     // installed elsewhere in the same version
		p(inventory.NPM, "ws", "7.0.0", "other/package-lock.json", Evidence),
		p(inventory.NPM, "koa", "2.0.0", "yarn.lock", Evidence),
		p(inventory.PyPI, "ws", "8.0.0", "app/poetry.lock", Evidence),
		p(inventory.Composer, "monolog/monolog", "2.0.0", "srv/vendor/composer/installed.json", "manifest"),
		p(inventory.Composer, "twig/twig", "3.0.0", "srv/composer.lock", Evidence),
		p(inventory.Deb, "koa", "2.0.0", "var/lib/dpkg/status", "database"),
	}
	got := Settle(all)
	want := []string{"ws 8.0.0 app/node_modules/ws/package.json", "ws 7.0.0 other/package-lock.json", "koa 2.0.0 yarn.lock", "ws 8.0.0 app/poetry.lock",
		"monolog/monolog 2.0.0 srv/vendor/composer/installed.json", "koa 2.0.0 var/lib/dpkg/status"}
	if len(got) != len(want) {
		t.Fatalf("%d packages are left, want %d: %v", len(got), len(want), got)
	}
	for i, p := range got {
		if line := p.Name + " " + p.Version + " " + p.Path; line != want[i] {
			t.Errorf("package %d is %q, want %q", i, line, want[i])
		}
	}
}

func TestDecode(t *testing.T) {
	var v map[string]any
	for _, data := range []string{"a = [[\"[[[[\", '[[']]\n", "b = \"\\\"[\"\n"} {
		if err := TOML([]byte(data), &v); err != nil {
			t.Errorf("%s: %v", data, err)
		}
	}
	long := make([]byte, maxBytes+1)
	deep := "a = " + strings.Repeat("[", 10_000_000/2)
	if TOML(long, &v) == nil || YAML(long, &v) == nil || TOML([]byte(deep), &v) == nil {
		t.Error("no limit holds")
	}
}
