package enrol

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/store"
)

// ProviderLifetime is how long the certificate of a cluster's provider is good. The server replaces it before.
const ProviderLifetime = 90 * 24 * time.Hour

// IssueProvider makes a key and a certificate for the provider of a protected cluster, in the caller's transaction. The ones that
// it had before hold until they expire or are revoked, so that replicas change over one by one.
func (a *Authority) IssueProvider(ctx context.Context, tx bun.IDB, target int64) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := a.template(Holder{Provider, strconv.FormatInt(target, 10)}, ProviderLifetime)
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	row := &Certificate{Serial: Serial(leaf), TargetID: target, Kind: Provider, IssuedAt: store.At(a.now()), ExpiresAt: store.At(leaf.NotAfter)}
	if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// RevokeProvider takes back the certificates of a cluster's provider, in the caller's transaction.
func (a *Authority) RevokeProvider(ctx context.Context, tx bun.IDB, target int64, why string) error {
	return a.revoke(ctx, tx, Provider, target, why)
}
