package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Bounds of what is remembered of repositories that let us in.
const (
	entryFresh  = 5 * time.Minute
	mostEntries = 10_000
)

// entry is a transport that knows how a registry wants to be told who we are. The credentials themselves go with every request, and
// tokens are renewed by it: what is saved is asking how, two or three of the few requests that a registry gets from us a second.
type entry struct {
	rt   http.RoundTripper
	till time.Time
}

// enterKey tells repositories apart, and who enters.
func enterKey(ctx context.Context, host string, o Options, repo name.Repository, auth authn.Authenticator) (string, error) {
	who, err := authn.Authorization(ctx, auth)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(who)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return o.client(host) + " " + repo.Name() + " " + string(sum[:]), nil
}

// enter returns a transport for the pulls of a repository; known says that how to enter was not asked anew.
func (c *Clients) enter(ctx context.Context, host string, o Options, repo name.Repository, auth authn.Authenticator, base http.RoundTripper) (rt http.RoundTripper, known bool, err error) {
	key, err := enterKey(ctx, host, o, repo, auth)
	if err == nil {
		c.mu.Lock()
		e := c.entries[key]
		c.mu.Unlock()
		if e.rt != nil && time.Now().Before(e.till) {
			return e.rt, true, nil
		}
	}
	rt, entered := transport.NewWithContext(ctx, repo.Registry, auth, base, []string{repo.Scope(transport.PullScope)})
	if entered != nil {
		return nil, false, classify(repo.RegistryStr(), entered)
	}
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.entries) >= mostEntries {
			clear(c.entries)
		}
		c.entries[key] = entry{rt, time.Now().Add(entryFresh)}
	}
	return rt, false, nil
}

// leave forgets how to enter.
func (c *Clients) leave(ctx context.Context, host string, o Options, repo name.Repository, auth authn.Authenticator) {
	key, err := enterKey(ctx, host, o, repo, auth)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, key)
}
