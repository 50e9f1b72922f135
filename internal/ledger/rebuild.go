package ledger

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/finding"
)

// maxDetail bounds a detail that is unpacked.
const maxDetail = 64 << 20

// smallDetail is the size in bytes below which packing gains nothing.
const smallDetail = 256

var packer = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<16), zstd.WithEncoderCRC(false))
})

var unpacker = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDetail))
})

// Pack writes a detail as the table details keeps it: JSON, in zstd where that is shorter.
func (d *Detail) Pack() ([]byte, error) {
	plain, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("detail of a finding: %w", err)
	}
	if len(plain) < smallDetail {
		return plain, nil
	}
	z, err := packer()
	if err != nil {
		return nil, err
	}
	return z.EncodeAll(plain, nil), nil
}

// UnpackDetail reads what Pack wrote.
func UnpackDetail(body []byte) (*Detail, error) {
	plain := body
	if len(body) == 0 || body[0] != '{' {
		z, err := unpacker()
		if err != nil {
			return nil, err
		}
		if plain, err = z.DecodeAll(body, nil); err != nil {
			return nil, fmt.Errorf("detail of a finding: %w", err)
		}
	}
	d := new(Detail)
	if err := json.Unmarshal(plain, d); err != nil {
		return nil, fmt.Errorf("detail of a finding: %w", err)
	}
	return d, nil
}

// Split takes a finding apart into what its row does not hold. Who runs an image is left out: that stands in asset_uses.
func Split(f *finding.Finding) (*Advice, *Detail) {
	a := &Advice{RuleID: f.RuleID, Aliases: f.Aliases, Risk: f.Risk, Title: f.Title, Remediation: f.Remediation,
		References: f.References, Compliance: f.Compliance}
	d := &Detail{Kind: f.Kind, Message: f.Message, Resource: f.Resource, Evidence: f.Evidence, Vulnerability: f.Vulnerability,
		Priority: f.Priority, Suppression: f.Suppression, Mitigations: f.Mitigations, Snippet: f.Snippet, Emergency: f.Emergency}
	d.Resource.Workloads, d.Resource.Labels = nil, nil
	return a, d
}

// Reconstruct gives the finding back that Split and the row were made of. Its status is open while it is active and suppressed
// otherwise; who accepted it is told by Suppression when the scan itself did, and by the row's ExceptionID. The workloads that
// run an image stand in asset_uses: callers that need them fill in Resource.Workloads.
func Reconstruct(r *Row, a *Advice, d *Detail) *finding.Finding {
	f := &finding.Finding{
		Fingerprint: hex.EncodeToString(r.Fingerprint), Kind: d.Kind, Rule: r.Rule, RuleID: a.RuleID, Aliases: a.Aliases,
		Severity: r.Severity.Word(), Risk: a.Risk, Title: a.Title, Message: d.Message, Remediation: a.Remediation,
		References: a.References, Resource: d.Resource, Evidence: d.Evidence, Vulnerability: d.Vulnerability,
		Compliance: a.Compliance, Priority: d.Priority, Status: finding.Open, Suppression: d.Suppression,
		Mitigations: d.Mitigations, Snippet: d.Snippet, Emergency: d.Emergency,
	}
	if !r.Status.Active() {
		f.Status = finding.Suppressed
		if f.Suppression == nil {
			f.Suppression = &finding.Suppression{By: r.Status.String()}
			if r.Handling == Accepted && r.Status == StatusAccepted {
				f.Suppression.By = "exception"
			}
		}
	} else {
		f.Suppression = nil
	}
	return f
}
