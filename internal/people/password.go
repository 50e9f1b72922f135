package people

import (
	"context"
	_ "embed"
	"strings"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
)

// Bounds of a password. The upper one keeps hashing cheap.
const (
	minPassword = 12
	maxPassword = 256
)

// commonText lists passwords that everybody tries first, of the shortest allowed length and more, lower case.
//
//go:embed common.txt
var commonText string

// CheckPassword says what is wrong with a password for the user of that name.
func CheckPassword(password, name string) error {
	lower := strings.ToLower(password)
	switch {
	case !utf8.ValidString(password):
		return invalid("the password is not UTF-8")
	case utf8.RuneCountInString(password) < minPassword:
		return invalid("the password is shorter than %d characters", minPassword)
	case len(password) > maxPassword:
		return invalid("the password is longer than %d bytes", maxPassword)
	case len(name) > 3 && strings.Contains(lower, strings.ToLower(name)):
		return invalid("the password contains the user's name")
	case strings.TrimSpace(strings.ReplaceAll(lower, string([]rune(lower)[0]), "")) == "":
		return invalid("the password is one character again and again")
	}
	for line := range strings.Lines(commonText) {
		if strings.TrimSpace(line) == lower {
			return invalid("the password is one of those that are tried first")
		}
	}
	return nil
}

// hash makes the hash of a password that is kept.
func (s *Service) hash(ctx context.Context, password string) (string, error) {
	release, err := s.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return argon2id.CreateHash(password, s.o.Hash)
}

// compare reports whether the password is that of the hash. For an empty hash it takes as long and says no. stale tells that the
// hash was made at another cost than today's.
func (s *Service) compare(ctx context.Context, password, hash string) (ok, stale bool, err error) {
	release, err := s.slot(ctx)
	if err != nil {
		return false, false, err
	}
	defer release()
	known := hash != ""
	if !known {
		hash = s.dummy
	}
	if len(password) > maxPassword {
		password, known = password[:maxPassword], false
	}
	s.hashes()
	ok, p, err := argon2id.CheckHash(password, hash)
	if err != nil {
		return false, false, err
	}
	return ok && known, p.Memory != s.o.Hash.Memory || p.Iterations != s.o.Hash.Iterations || p.Parallelism != s.o.Hash.Parallelism, nil
}

// slot waits until this may hash: each takes memory for a moment, and sign-ins must not take all of the server's.
func (s *Service) slot(ctx context.Context) (release func(), err error) {
	select {
	case s.hashing <- struct{}{}:
		return func() { <-s.hashing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
