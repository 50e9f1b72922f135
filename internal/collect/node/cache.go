package node

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"stockade.dev/stockade/internal/collect/node/host"
)

// Cache keeps what the bytes of programs said, so that a program that did not change is not read again. It is used by one reading
// at a time or by several.
type Cache struct {
	mu    sync.Mutex
	known map[stamp]content
	fresh bool // something was learnt or forgotten since it was read
}

// stamp changes whenever the bytes of a file do: no program can set the third time.
type stamp struct {
	id    host.ID
	size  int64
	mtime int64
	ctime int64
}

// NewCache returns an empty Cache.
func NewCache() *Cache { return &Cache{known: map[stamp]content{}} }

// Files of caches. A file that has just changed may change again within one step of the clock of its file system.
const (
	mostCached = 4 << 20 // bytes of a file
	settled    = 2 * time.Second
)

// cached is a Cache as it is written.
type cached struct {
	Version  string          `json:"version"`
	Programs []cachedProgram `json:"programs"`
}

type cachedProgram struct {
	Device    uint64 `json:"device"`
	Inode     uint64 `json:"inode"`
	Size      int64  `json:"size"`
	MTime     int64  `json:"mtime"`
	CTime     int64  `json:"ctime"`
	SHA256    string `json:"sha256"`
	Go        string `json:"go,omitempty"`
	Module    string `json:"module,omitempty"`
	Component string `json:"component,omitempty"`
	Version   string `json:"version,omitempty"`
	Evidence  string `json:"evidence,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Gap       string `json:"gap,omitempty"`
}

// ReadCache reads a Cache that Write wrote for the same version of the readers; one that is not there, damaged or of another version
// is empty.
func ReadCache(file, version string) *Cache {
	c := NewCache()
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > mostCached {
		return c
	}
	data, err := os.ReadFile(file)
	var in cached
	if err != nil || json.Unmarshal(data, &in) != nil || in.Version != version {
		return c
	}
	for _, p := range in.Programs {
		c.known[stamp{host.ID{Device: p.Device, Inode: p.Inode}, p.Size, p.MTime, p.CTime}] = content{sha256: p.SHA256, gover: p.Go, module: p.Module, component: p.Component,
			version: p.Version, evidence: p.Evidence, size: p.Size, kind: p.Kind, gap: p.Gap}
	}
	return c
}

// keep takes what a reading met; what is gone need not be remembered.
func (c *Cache) keep(used map[stamp]content) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fresh = c.fresh || !maps.Equal(c.known, used)
	c.known = used
}

// Write keeps the Cache in a file, for its owner alone, when it is another one than was read.
func (c *Cache) Write(file, version string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.fresh {
		return nil
	}
	out := cached{Version: version}
	until := time.Now().Add(-settled).UnixNano()
	for at, p := range c.known {
		if at.ctime < until {
			out.Programs = append(out.Programs, cachedProgram{at.id.Device, at.id.Inode, at.size, at.mtime, at.ctime, p.sha256, p.gover, p.module, p.component, p.version, p.evidence, p.kind, p.gap})
		}
	}
	data, err := json.Marshal(out)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "new-*") // only its owner may read it
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
