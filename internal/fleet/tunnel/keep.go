package tunnel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

func quoted(text string) string {
	b, _ := json.Marshal(text) // a string always can be
	return string(b)
}

// identityFile is the file of a Folder.
const identityFile = "connector.json"

// Folder keeps the identity in a folder.
type Folder string

// Load implements Keeper.
func (f Folder) Load(context.Context) (*Identity, error) {
	name := filepath.Join(string(f), identityFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	id := &Identity{}
	if err := json.Unmarshal(data, id); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return id, nil
}

// Save implements Keeper.
func (f Folder) Save(_ context.Context, id *Identity) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(id)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(string(f), ".connector-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return os.Rename(temp.Name(), filepath.Join(string(f), identityFile))
}

// Secret keeps the identity in a Secret of the connector's namespace, which must exist: the manifest has it.
type Secret struct {
	client *http.Client
	url    string
}

// NewSecret makes a keeper with the credentials of rc.
func NewSecret(rc *rest.Config, namespace, name string) (*Secret, error) {
	client, err := rest.HTTPClientFor(rc)
	if err != nil {
		return nil, err
	}
	client.Timeout = 30 * time.Second
	base, _, err := rest.DefaultServerUrlFor(rc)
	if err != nil {
		return nil, err
	}
	return &Secret{client, strings.TrimSuffix(base.String(), "/") + "/api/v1/namespaces/" + url.PathEscape(namespace) + "/secrets/" + url.PathEscape(name)}, nil
}

// secretKey is the key in the Secret's data.
const secretKey = "identity"

type secretData struct {
	Data map[string][]byte `json:"data"`
}

// Load implements Keeper.
func (s *Secret) Load(ctx context.Context) (*Identity, error) {
	var got secretData
	if err := s.call(ctx, http.MethodGet, nil, &got); err != nil {
		return nil, err
	}
	if len(got.Data[secretKey]) == 0 {
		return nil, nil
	}
	id := &Identity{}
	if err := json.Unmarshal(got.Data[secretKey], id); err != nil {
		return nil, fmt.Errorf("the Secret's %s: %w", secretKey, err)
	}
	return id, nil
}

// Save implements Keeper.
func (s *Secret) Save(ctx context.Context, id *Identity) error {
	data, err := json.Marshal(id)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(secretData{map[string][]byte{secretKey: data}})
	if err != nil {
		return err
	}
	return s.call(ctx, http.MethodPatch, patch, nil)
}

func (s *Secret) call(ctx context.Context, method string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/merge-patch+json")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: the API server answers %s: apply the connector's manifest again", method, s.url, resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 2<<20)).Decode(into)
}

var (
	_ Keeper = Folder("")
	_ Keeper = (*Secret)(nil)
)
