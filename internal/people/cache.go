package people

import (
	"sync"
	"time"

	"stockade.dev/stockade/internal/identity"
)

// How long who a credential belongs to is believed without asking the database, and for how many: a revocation in another process
// takes effect after that time. In this process clear makes it take effect at once.
const (
	cacheFor  = 3 * time.Second
	cacheSize = 10_000
)

// known is who a credential belongs to.
type known struct {
	principal *identity.Principal
	session   int64 // row, of the one of both that it is
	token     int64
	expires   time.Time // of the credential
	read      time.Time
}

// cache keeps who credentials belong to, by their hash.
type cache struct {
	mu         sync.Mutex
	generation int
	entries    map[string]known
}

// find returns what is known, and a mark to give to keep for what is read because it was not.
func (c *cache) find(key string, now time.Time) (known, bool, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.entries[key]
	age := now.Sub(k.read)
	return k, ok && age >= 0 && age < cacheFor && now.Before(k.expires), c.generation
}

// keep remembers what was read, unless something was changed since the mark was given.
func (c *cache) keep(key string, k known, mark int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mark != c.generation {
		return
	}
	if c.entries == nil || len(c.entries) >= cacheSize {
		c.entries = map[string]known{}
	}
	c.entries[key] = k
}

// clear forgets everything, after a change.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.entries = nil
}
