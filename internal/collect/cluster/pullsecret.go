package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
)

// PullSecret returns the docker configuration ({"auths": ...}) of an image pull secret. Its value is asked for by name, when
// a private image needs it, and is kept nowhere. Both types count: kubernetes.io/dockerconfigjson and the older
// kubernetes.io/dockercfg, which holds the inner map alone.
func (s *Source) PullSecret(ctx context.Context, namespace, name string) ([]byte, error) {
	var secret struct {
		Type string            `json:"type"`
		Data map[string]string `json:"data"`
	}
	path := "/api/v1/namespaces/" + url.PathEscape(namespace) + "/secrets/" + url.PathEscape(name)
	if err := s.getJSON(ctx, path, "", &secret); err != nil {
		return nil, fmt.Errorf("reading pull secret %s/%s: %w", namespace, name, err)
	}
	for key, wrap := range map[string]bool{".dockerconfigjson": false, ".dockercfg": true} {
		text, ok := secret.Data[key]
		if !ok {
			continue
		}
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("pull secret %s/%s: %s is not base64", namespace, name, key)
		}
		if wrap {
			data, err = json.Marshal(map[string]json.RawMessage{"auths": data})
			if err != nil {
				return nil, fmt.Errorf("pull secret %s/%s: %s is not JSON", namespace, name, key)
			}
		}
		return data, nil
	}
	return nil, fmt.Errorf("pull secret %s/%s holds no registry credentials (type %s)", namespace, name, secret.Type)
}
