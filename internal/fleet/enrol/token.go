package enrol

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/store"
)

// TokenLifetime is how long a token is good when nothing else is said.
const TokenLifetime = 24 * time.Hour

// Errors of enrolling and renewing. Their texts go to the connector.
var (
	ErrToken   = errors.New("the enrolment token is not valid: make a new one on the cluster's page")
	ErrUsed    = errors.New("the enrolment token was used before: if that was not you, revoke the connector on the cluster's page; make a new token")
	ErrExpired = errors.New("the enrolment token has expired: make a new one on the cluster's page")
	ErrRequest = errors.New("the certificate request cannot be taken")
	ErrRevoked = errors.New("the connector's certificate was revoked: enrol again with a new token")
)

type tokenRow struct {
	bun.BaseModel `bun:"table:enrolments"`

	Hash      string     `bun:"hash,pk"`
	TargetID  int64      `bun:"target_id"`
	CreatedAt store.Time `bun:"created_at"`
	ExpiresAt store.Time `bun:"expires_at"`
	UsedAt    store.Time `bun:"used_at"`
	UsedFrom  string     `bun:"used_from"`
}

// Certificate is a row of certificates: what a connector, a provider or an agent was given.
type Certificate struct {
	bun.BaseModel `bun:"table:certificates" json:"-"`

	Serial    string     `bun:"serial,pk" json:"serial"`
	TargetID  int64      `bun:"target_id" json:"-"`
	Kind      string     `bun:"kind" json:"-"`    // of the holder
	NodeID    int64      `bun:"node_id" json:"-"` // of an agent
	IssuedAt  store.Time `bun:"issued_at" json:"issuedAt" format:"date-time"`
	ExpiresAt store.Time `bun:"expires_at" json:"expiresAt" format:"date-time"`
	RevokedAt store.Time `bun:"revoked_at" json:"revokedAt" format:"date-time"`
	Why       string     `bun:"why" json:"why,omitempty"`
}

func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// tokenPrefix lets secret scanners and people know one.
const tokenPrefix = "sce_"

// NewToken makes a token with which a connector enrols once for the target, and takes back those that were not used. lifetime 0 is
// TokenLifetime. The token is shown now and never again.
func (a *Authority) NewToken(ctx context.Context, tx bun.IDB, target int64, lifetime time.Duration) (string, time.Time, error) {
	if lifetime <= 0 {
		lifetime = TokenLifetime
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	now := a.now()
	if _, err := tx.NewDelete().Model((*tokenRow)(nil)).Where("target_id = ? AND used_at = 0", target).Exec(ctx); err != nil {
		return "", time.Time{}, err
	}
	row := &tokenRow{Hash: hash(token), TargetID: target, CreatedAt: store.At(now), ExpiresAt: store.At(now.Add(lifetime))}
	if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
		return "", time.Time{}, err
	}
	return token, row.ExpiresAt.Time, nil
}

// Enrol takes a token and a certificate request (DER) and gives a certificate for the token's cluster. The token is used up, and
// what the cluster's connector had before is revoked. remote is the client's address, for the audit log.
func (a *Authority) Enrol(ctx context.Context, token string, request []byte, remote string) (target int64, cert *x509.Certificate, err error) {
	err = a.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		now := store.At(a.now())
		result, err := tx.NewUpdate().Model((*tokenRow)(nil)).Set("used_at = ?", now).Set("used_from = ?", remote).
			Where("hash = ? AND used_at = 0 AND expires_at > ?", hash(token), now).Exec(ctx)
		if err != nil {
			return err
		}
		row := tokenRow{}
		found := store.NotFound(tx.NewSelect().Model(&row).Where("hash = ?", hash(token)).Scan(ctx))
		taken, err := result.RowsAffected()
		switch {
		case errors.Is(found, store.ErrNotFound):
			return ErrToken
		case found != nil || err != nil:
			return errors.Join(found, err)
		case taken == 0 && !row.UsedAt.IsZero():
			return ErrUsed
		case taken == 0:
			return ErrExpired
		}
		target = row.TargetID
		if err := a.revoke(ctx, tx, Connector, target, "the connector enrolled again"); err != nil {
			return err
		}
		if cert, err = a.issue(ctx, tx, request, target); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "connector.enrol", fmt.Sprintf("cluster %d", target), target, nil, map[string]string{"serial": Serial(cert), "from": remote})
	})
	return target, cert, err
}

// maxRenewals bounds what a connector that went mad can fill the table with: certificates of a cluster in a day.
const maxRenewals = 10

// Renew gives the holder of a certificate that is neither expired nor revoked another one.
func (a *Authority) Renew(ctx context.Context, held *x509.Certificate, request []byte) (cert *x509.Certificate, err error) {
	h, err := HolderOf(held)
	if err != nil {
		return nil, err
	}
	if h.Kind != Connector || h.Target() == 0 {
		return nil, fmt.Errorf("%w: only connectors renew", ErrRequest)
	}
	err = a.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := a.good(ctx, tx, held); err != nil {
			return err
		}
		n, err := tx.NewSelect().Model((*Certificate)(nil)).Where("target_id = ? AND kind = ? AND issued_at > ?", h.Target(), Connector, store.At(a.now().Add(-24*time.Hour))).Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxRenewals {
			return fmt.Errorf("%w: it got %d certificates within a day", ErrRequest, n)
		}
		cert, err = a.issue(ctx, tx, request, h.Target())
		return err
	})
	return cert, err
}

func (a *Authority) issue(ctx context.Context, tx bun.Tx, request []byte, target int64) (*x509.Certificate, error) {
	cert, err := a.sign(request, target)
	if err != nil {
		return nil, err
	}
	_, err = tx.NewInsert().Model(&Certificate{Serial: Serial(cert), TargetID: target, Kind: Connector, IssuedAt: store.At(a.now()), ExpiresAt: store.At(cert.NotAfter)}).Exec(ctx)
	return cert, err
}

// Serial is a certificate's serial number as the table has it.
func Serial(cert *x509.Certificate) string { return cert.SerialNumber.Text(16) }

// Check says whether a certificate that the authority signed still holds: the table must have it, and it must not be expired or
// revoked. It is asked at every handshake.
func (a *Authority) Check(ctx context.Context, cert *x509.Certificate) error {
	return a.good(ctx, a.db.R, cert)
}

func (a *Authority) good(ctx context.Context, db bun.IDB, cert *x509.Certificate) error {
	var row Certificate
	err := store.NotFound(db.NewSelect().Model(&row).Where("serial = ?", Serial(cert)).Scan(ctx))
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && !row.RevokedAt.IsZero():
		return ErrRevoked // rows go only when they have expired, or with a database that was restored
	case err != nil:
		return err
	case !a.now().Before(row.ExpiresAt.Time):
		return errors.New("the certificate has expired: a connector enrols again with a new token")
	}
	return nil
}

// Revoke takes back the certificates and tokens of a target's connector, in the caller's transaction. Tunnels are the caller's to cut.
func (a *Authority) Revoke(ctx context.Context, tx bun.IDB, target int64, why string) error {
	if _, err := tx.NewDelete().Model((*tokenRow)(nil)).Where("target_id = ? AND used_at = 0", target).Exec(ctx); err != nil {
		return err
	}
	return a.revoke(ctx, tx, Connector, target, why)
}

func (a *Authority) revoke(ctx context.Context, tx bun.IDB, kind string, target int64, why string) error {
	_, err := tx.NewUpdate().Model((*Certificate)(nil)).Set("revoked_at = ?", store.At(a.now())).Set("why = ?", why).
		Where("target_id = ? AND kind = ? AND revoked_at = 0", target, kind).Exec(ctx)
	return err
}

// Lapsed returns those of the serials that do not hold any more: revoked, expired or unknown.
func (a *Authority) Lapsed(ctx context.Context, serials []string) ([]string, error) {
	if len(serials) == 0 {
		return nil, nil
	}
	var good []string
	err := a.db.R.NewSelect().Model((*Certificate)(nil)).Column("serial").
		Where("serial IN (?) AND revoked_at = 0 AND expires_at > ?", bun.In(serials), store.At(a.now())).Scan(ctx, &good)
	if err != nil {
		return nil, err
	}
	hold := make(map[string]bool, len(good))
	for _, s := range good {
		hold[s] = true
	}
	var lapsed []string
	for _, s := range serials {
		if !hold[s] {
			lapsed = append(lapsed, s)
		}
	}
	return lapsed, nil
}

// Certificates lists what a target's connector was given, newest first.
func (a *Authority) Certificates(ctx context.Context, target int64) ([]Certificate, error) {
	var rows []Certificate
	err := a.db.R.NewSelect().Model(&rows).Where("target_id = ? AND kind = ?", target, Connector).Order("issued_at DESC", "serial").Limit(20).Scan(ctx)
	return rows, err
}

// Sweep forgets certificates and tokens a month after they expired.
func (a *Authority) Sweep(ctx context.Context) error {
	return a.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		before := store.At(a.now().Add(-Lifetime)) // a month
		_, err := tx.NewDelete().Model((*Certificate)(nil)).Where("expires_at < ?", before).Exec(ctx)
		if err != nil {
			return err
		}
		if _, err = tx.NewDelete().Model((*tokenRow)(nil)).Where("expires_at < ?", before).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewDelete().Model((*AgentToken)(nil)).Where("expires_at < ?", before).Exec(ctx)
		return err
	})
}

// PEM writes a certificate as text.
func PEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
