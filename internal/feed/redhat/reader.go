package redhat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

// Reader reads repository-to-cpe.json: which products' CPEs a content set belongs to. Source:
// https://security.access.redhat.com/data/meta/v1/repository-to-cpe.json
var Reader = feed.Reader{
	Name: "repository-to-cpe",
	Knows: func(path string, head []byte) bool {
		return strings.HasSuffix(path, "repository-to-cpe.json") && bytes.HasPrefix(bytes.TrimSpace(head), []byte("{"))
	},
	Read: read,
}

const repositories = "redhat-repositories"

func read(ctx context.Context, d feed.Document, s feed.Sink) error {
	dec := json.NewDecoder(notation.Bounded(d.Body, notation.MaxDocument))
	found := false
	err := notation.Members(dec, func(name string) error {
		if name != "data" {
			return notation.Skip(dec)
		}
		found = true
		return notation.Members(dec, func(repository string) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			var entry struct {
				CPEs []string `json:"cpes"`
			}
			if err := dec.Decode(&entry); err != nil {
				return fmt.Errorf("repository %q: %w", repository, err)
			}
			s.Record(repositories)
			if repository == "" || len(entry.CPEs) == 0 {
				s.Refused(repositories, repository, "no product")
				return nil
			}
			return s.Repository(repositories, advisory.Repository{Name: repository, CPEs: entry.CPEs})
		})
	})
	if err == nil && !found {
		err = fmt.Errorf("no member \"data\"")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	return nil
}
