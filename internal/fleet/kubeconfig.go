package fleet

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// credentials are what of a kubeconfig is kept: the one server and the one user, and no more.
type credentials struct {
	Server      string              `json:"server"`
	CA          []byte              `json:"ca,omitempty"`
	TLSName     string              `json:"tlsName,omitempty"`
	Token       string              `json:"token,omitempty"`
	Certificate []byte              `json:"certificate,omitempty"`
	Key         []byte              `json:"key,omitempty"`
	As          string              `json:"as,omitempty"`
	AsUID       string              `json:"asUID,omitempty"`
	AsGroups    []string            `json:"asGroups,omitempty"`
	AsExtra     map[string][]string `json:"asExtra,omitempty"`
}

// MaxKubeconfig bounds a kubeconfig, in bytes.
const MaxKubeconfig = 1 << 20

// accountHelp is how to get a kubeconfig that can be taken.
const accountHelp = `make a service account and give its token: kubectl apply -f deploy/rbac/clusterrole.yaml -f deploy/rbac/serviceaccount.yaml; ` +
	`TOKEN=$(kubectl create token stockade -n stockade --duration 8760h); then kubectl config view --raw --minify --flatten gives the file, in which ` +
	`users[0].user becomes {token: $TOKEN}. Or add the cluster by a connector, which needs no credentials here`

const embedHelp = "embed the data instead: kubectl config view --raw --minify --flatten"

// parseKubeconfig takes the server and the user of a context, "" for the current one. Whatever would make this machine run a program,
// read a file, or speak to somebody else is refused.
func parseKubeconfig(data []byte, context string) (*credentials, error) {
	if len(data) > MaxKubeconfig {
		return nil, invalid("the kubeconfig is larger than %d KiB", MaxKubeconfig>>10)
	}
	raw, err := clientcmd.Load(data)
	if err != nil {
		return nil, invalid("the kubeconfig cannot be read: want YAML as kubectl config view --raw --minify --flatten gives it")
	}
	if context == "" {
		context = raw.CurrentContext
	}
	if context == "" && len(raw.Contexts) == 1 {
		for context = range raw.Contexts {
		}
	}
	c := raw.Contexts[context]
	if c == nil {
		names := make([]string, 0, len(raw.Contexts))
		for n := range raw.Contexts {
			names = append(names, n)
		}
		slices.Sort(names)
		return nil, invalid("the kubeconfig has no context %q: it has %q", context, names[:min(len(names), 20)])
	}
	cluster, user := raw.Clusters[c.Cluster], raw.AuthInfos[c.AuthInfo]
	if cluster == nil || user == nil {
		return nil, invalid("context %q names cluster %q and user %q, which the kubeconfig does not both have", context, c.Cluster, c.AuthInfo)
	}
	if err := acceptable(cluster, user); err != nil {
		return nil, err
	}
	out := &credentials{Server: strings.TrimSuffix(cluster.Server, "/"), CA: cluster.CertificateAuthorityData, TLSName: cluster.TLSServerName,
		Token: user.Token, Certificate: user.ClientCertificateData, Key: user.ClientKeyData,
		As: user.Impersonate, AsUID: user.ImpersonateUID, AsGroups: user.ImpersonateGroups, AsExtra: user.ImpersonateUserExtra}
	if _, err := rest.TLSConfigFor(out.config()); err != nil {
		return nil, invalid("the certificates or the key in the kubeconfig are damaged: %s", oneLine(err.Error()))
	}
	return out, nil
}

// acceptable says what is wrong with a cluster and its user.
func acceptable(cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) error {
	for field, path := range map[string]string{"certificate-authority": cluster.CertificateAuthority, "client-certificate": user.ClientCertificate,
		"client-key": user.ClientKey, "tokenFile": user.TokenFile} {
		if path != "" {
			return invalid("%s names a file, and files of your machine are not here: %s", field, embedHelp)
		}
	}
	switch {
	case user.Exec != nil:
		return invalid("the user logs in with a program (exec: %s), and the server runs no programs of others: %s", firstWord(user.Exec.Command), accountHelp)
	case user.AuthProvider != nil:
		return invalid("the user logs in with the plugin %q (auth-provider), which ended with Kubernetes 1.26: %s", firstWord(user.AuthProvider.Name), accountHelp)
	case cluster.ProxyURL != "":
		return invalid("proxy-url is set, and the server does not speak to proxies that others name: add the cluster by a connector, or take proxy-url out")
	case user.Username != "" || user.Password != "":
		return invalid("user name and password are no way in since Kubernetes 1.19: %s", accountHelp)
	case user.Token == "" && len(user.ClientCertificateData) == 0:
		return invalid("the user has neither a token nor a client certificate: %s", accountHelp)
	case cluster.InsecureSkipTLSVerify:
		return invalid("insecure-skip-tls-verify is set: anybody between could take the credentials. Give certificate-authority-data instead, " +
			"or add the cluster by a connector")
	}
	return validServer(cluster.Server)
}

func firstWord(s string) string { return fmt.Sprintf("%.40q", s) }

// validServer checks the address of an API server. Where the name leads is checked when it is dialled.
func validServer(server string) error {
	u, err := url.Parse(server)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return invalid("the server's address is no URL: want https://host:port")
	case u.Scheme != "https":
		return invalid("the server's address begins with %q: credentials are only sent over https", u.Scheme+"://")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return invalid("the server's address has a user, a query or a fragment: want https://host:port")
	}
	return nil
}

// config is the plain client configuration of the credentials.
func (c *credentials) config() *rest.Config {
	return &rest.Config{Host: c.Server, BearerToken: c.Token,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.CA, CertData: c.Certificate, KeyData: c.Key, ServerName: c.TLSName},
		Impersonate:     rest.ImpersonationConfig{UserName: c.As, UID: c.AsUID, Groups: c.AsGroups, Extra: c.AsExtra}}
}

// place binds sealed credentials to their row.
func place(target int64) string { return fmt.Sprintf("clusters/%d/credentials", target) }

func (f *Fleet) sealed(target int64, c *credentials) ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return f.keys.Seal(place(target), data)
}

func (f *Fleet) unseal(target int64, sealed []byte) (*credentials, error) {
	data, err := f.keys.Open(place(target), sealed)
	if err != nil {
		return nil, err
	}
	c := &credentials{}
	return c, json.Unmarshal(data, c)
}
