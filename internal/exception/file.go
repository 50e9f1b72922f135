package exception

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"

	"sigs.k8s.io/yaml"
)

// MaxFile bounds a file of exceptions, in bytes; MaxEntries the exceptions in it.
const (
	MaxFile    = 16 << 20
	MaxEntries = 50_000
)

// line is an exception as files have it.
type line struct {
	Scope
	Reason   string   `json:"reason"` // needed
	Category Category `json:"category,omitempty"`
	Expires  string   `json:"expires,omitempty"` // see ReadUntil; "" is never
	UntilFix bool     `json:"untilFix,omitempty"`
	By       string   `json:"by,omitempty"` // who accepted it
}

// ReadFile reads a YAML or JSON file {exceptions: [...]}. Errors name the file and the entry.
func ReadFile(file string) ([]Exception, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("exceptions: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("exceptions: %s: %w", file, err)
	}
	list, err := Read(data)
	if err != nil {
		return nil, fmt.Errorf("exceptions: %s: %w", file, err)
	}
	return list, nil
}

// Read reads what ReadFile reads from a file.
func Read(data []byte) ([]Exception, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("larger than %d MiB", MaxFile>>20)
	}
	var doc struct {
		Exceptions []line `json:"exceptions"`
	}
	if err := yaml.UnmarshalStrict(data, &doc); err != nil {
		return nil, err
	}
	if len(doc.Exceptions) > MaxEntries {
		return nil, fmt.Errorf("%d entries: at most %d are read", len(doc.Exceptions), MaxEntries)
	}
	out := make([]Exception, len(doc.Exceptions))
	for i, l := range doc.Exceptions {
		e := Exception{Scope: l.Scope, Reason: l.Reason, Category: l.Category, By: l.By, UntilFix: l.UntilFix}
		if err := e.Check(); err != nil {
			return nil, fmt.Errorf("entry %d %w", i+1, err)
		}
		var err error
		if e.Expires, err = ReadUntil(l.Expires); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		out[i] = e
	}
	return out, nil
}

// Write writes exceptions as Read reads them, in a stable order. What only the server knows, the target, is left out: the file
// is for one target, which the caller chose.
func Write(w io.Writer, list []Exception) error {
	doc := struct {
		Exceptions []line `json:"exceptions"`
	}{make([]line, 0, len(list))}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Exception) int { return cmp.Compare(a.ID, b.ID) })
	for _, e := range list {
		doc.Exceptions = append(doc.Exceptions, line{Scope: e.Scope, Reason: e.Reason, Category: e.Category, Expires: WriteUntil(e.Expires), UntilFix: e.UntilFix, By: e.By})
	}
	data, err := yaml.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, bytes.NewReader(data))
	return err
}
