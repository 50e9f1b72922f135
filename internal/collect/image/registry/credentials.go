package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// credentials lists whom to try to be at a repository: pull secrets (longest match first), what is known of the registry, the user's
// docker configuration, nobody. A pull secret that cannot be read is an error of its own only when nothing else lets us in, so it is not one here
// unless it is the only thing given.
func credentials(ctx context.Context, repo name.Repository, o Options) ([]authn.Authenticator, error) {
	var out []authn.Authenticator
	var broken []error
	var found []match
	for i, raw := range o.PullSecrets {
		m, err := matches(raw, repo)
		if err != nil {
			broken = append(broken, fmt.Errorf("pull secret %d: %w", i+1, err))
			continue
		}
		found = append(found, m...)
	}
	slices.SortStableFunc(found, func(a, b match) int { return len(b.key) - len(a.key) })
	for _, m := range found {
		out = append(out, authn.FromConfig(m.auth))
	}
	for _, p := range o.Places {
		if auth := p.auth(); auth != nil && p.Address == repo.RegistryStr() {
			out = append(out, auth)
		}
	}
	if !o.NoKeychain {
		auth, err := authn.Resolve(ctx, authn.DefaultKeychain, repo)
		if err != nil {
			broken = append(broken, fmt.Errorf("docker configuration: %w", err))
		} else if auth != authn.Anonymous {
			out = append(out, auth)
		}
	}
	if len(out) == 0 && len(broken) > 0 && len(broken) == len(o.PullSecrets) {
		return nil, errors.Join(broken...)
	}
	return append(out, authn.Anonymous), nil
}

type match struct {
	key  string
	auth authn.AuthConfig
}

// matches returns the entries of a docker configuration that stand for the repository, as the kubelet does it
// (kubernetes.io/docs/concepts/containers/images, "Interpretation of config.json"): host with globs by label, the same
// port, optional path prefix.
func matches(raw []byte, repo name.Repository) ([]match, error) {
	var file struct {
		Auths map[string]struct {
			Auth, Username, Password     string
			IdentityToken, RegistryToken string
		} `json:"auths"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("not a docker configuration: %w", redacted(err))
	}
	var out []match
	for key, e := range file.Auths {
		if !covers(key, repo.RegistryStr(), repo.RepositoryStr()) {
			continue
		}
		auth := authn.AuthConfig{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
		if e.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(e.Auth)
			if err != nil {
				if plain, err = base64.RawStdEncoding.DecodeString(e.Auth); err != nil {
					return nil, fmt.Errorf("entry %q: auth is not base64", key)
				}
			}
			user, password, ok := strings.Cut(strings.TrimRight(string(plain), "\x00\n"), ":")
			if !ok {
				return nil, fmt.Errorf("entry %q: auth is not user:password", key)
			}
			auth.Username, auth.Password = user, password
		}
		out = append(out, match{key, auth})
	}
	slices.SortFunc(out, func(a, b match) int { return strings.Compare(a.key, b.key) })
	return out, nil
}

// redacted keeps the place of a JSON error and drops its text, which may quote the secret.
func redacted(err error) error {
	var s *json.SyntaxError
	if errors.As(err, &s) {
		return fmt.Errorf("JSON error at byte %d", s.Offset)
	}
	return errors.New("JSON of another shape")
}

func covers(key, host, repo string) bool {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	keyHost, keyPath, _ := strings.Cut(strings.TrimSuffix(key, "/"), "/")
	keyPath = strings.Trim(keyPath, "/")
	if keyPath == "v1" || keyPath == "v2" { // "https://index.docker.io/v1/"
		keyPath = ""
	}
	if keyHost == "docker.io" || keyHost == "registry-1.docker.io" {
		keyHost = name.DefaultRegistry
	}
	if keyPath != "" && repo != keyPath && !strings.HasPrefix(repo, keyPath+"/") {
		return false
	}
	keyName, keyPort, _ := strings.Cut(keyHost, ":")
	hostName, hostPort, _ := strings.Cut(host, ":")
	if keyPort != hostPort {
		return false
	}
	want, have := strings.Split(keyName, "."), strings.Split(hostName, ".")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], have[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
