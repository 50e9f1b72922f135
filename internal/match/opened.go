package match

import (
	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/database"
)

// Over makes a Lookup of an opened database, with Repositories and Reverse.
func Over(db *database.DB) Lookup { return opened{db} }

type opened struct{ db *database.DB }

func (o opened) Rows(stream, name string, yield func(*advisory.Row) bool) error {
	return o.db.Rows(stream, name, yield)
}

func (o opened) Vulnerability(id string) (*advisory.Vulnerability, bool) {
	return o.db.Vulnerability(id)
}

func (o opened) Stream(name string) (StreamInfo, bool) {
	s, ok := o.db.Stream(name)
	if !ok {
		return StreamInfo{}, false
	}
	info := StreamInfo{Rows: s.Rows, Newest: s.Date}
	if s.Lifecycle.Stream != "" {
		info.Lifecycle = &s.Lifecycle
	}
	return info, true
}

func (o opened) Repository(name string) ([]string, bool) {
	cpes := o.db.Repository(name)
	return cpes, cpes != nil
}

func (o opened) Packages(id string, yield func(stream, name string) bool) error {
	for _, k := range o.db.Keys(id) {
		if !yield(k.Stream, k.Package) {
			break
		}
	}
	return o.db.Err()
}
