package node

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stockade.dev/stockade/internal/collect/node/host"
)

func TestCacheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "programs.json")
	old := stamp{host.ID{Device: 1, Inode: 2}, 3, 4, 5}
	fresh := stamp{host.ID{Device: 1, Inode: 3}, 3, 4, time.Now().UnixNano()}
	c := NewCache()
	if err := c.Write(file, "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("an empty cache was written")
	}
	want := content{sha256: "aa", gover: "go1.26", module: "m", component: "kubelet", version: "v1", evidence: "e", size: 3, kind: "k", gap: "g"}
	c.keep(map[stamp]content{old: want, fresh: want})
	if err := c.Write(file, "1"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	got := ReadCache(file, "1")
	if !maps.Equal(got.known, map[stamp]content{old: want}) { // the other may change again within a step of the clock
		t.Errorf("%+v", got.known)
	}
	got.keep(maps.Clone(got.known))
	if got.fresh {
		t.Error("nothing was learnt")
	}
	if other := ReadCache(file, "2"); len(other.known) != 0 {
		t.Error("another version's")
	}
	if err := os.WriteFile(file, []byte(`{"version":"1","programs":[{`), 0o600); err != nil {
		t.Fatal(err)
	}
	if damaged := ReadCache(file, "1"); len(damaged.known) != 0 {
		t.Error("damaged")
	}
}
