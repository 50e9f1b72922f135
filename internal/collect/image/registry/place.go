package registry

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Place is what is known of one registry beside the options for all.
type Place struct {
	Address  string // host or host:port, as Host gives it
	MirrorOf string // host for which it is asked first; "" is none
	Insecure bool
	CA       []byte // PEM certificates trusted beside the system's, for this one alone
	Username string // "" with a password that is a token
	Password string
}

// Host is the host of a registry as references have it after they are parsed: Docker Hub has several names.
func Host(host string) string {
	host = strings.ToLower(host)
	if host == "docker.io" || host == "registry-1.docker.io" {
		return name.DefaultRegistry
	}
	return host
}

// auth is the credential of a place; nil for none.
func (p Place) auth() authn.Authenticator {
	switch {
	case p.Password == "":
		return nil
	case p.Username == "":
		return authn.FromConfig(authn.AuthConfig{RegistryToken: p.Password})
	}
	return authn.FromConfig(authn.AuthConfig{Username: p.Username, Password: p.Password})
}

// at gives the options for a host: with what its place says of it.
func (o Options) at(host string) Options {
	if !slices.Contains(o.Insecure, host) && slices.ContainsFunc(o.Insecure, func(h string) bool { return Host(h) == host }) {
		o.Insecure = append(slices.Clone(o.Insecure), host)
	}
	for _, p := range o.Places {
		if p.Address != host {
			continue
		}
		if p.Insecure {
			o.Insecure = append(slices.Clone(o.Insecure), host)
		}
		if len(p.CA) > 0 {
			o.CA = slices.Concat(o.CA, []byte("\n"), p.CA)
		}
	}
	return o
}

// mirrors lists the hosts to ask for images of one, without itself.
func (o Options) mirrors(host string) []string {
	var list []string
	for _, of := range slices.Sorted(maps.Keys(o.Mirrors)) {
		if Host(of) == host {
			list = append(list, o.Mirrors[of]...)
		}
	}
	for i := range list {
		list[i] = Host(list[i])
	}
	for _, p := range o.Places {
		if p.MirrorOf == host {
			list = append(list, p.Address)
		}
	}
	return list
}

// client names a transport: another one when it trusts others.
func (o Options) client(host string) string {
	sum := sha256.Sum256(o.CA)
	if slices.Contains(o.Insecure, host) {
		return host + " insecure " + string(sum[:])
	}
	return host + " " + string(sum[:])
}
