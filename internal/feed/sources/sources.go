// Package sources is the list of all readers of feeds, in the order in which they are asked.
package sources

import (
	"slices"

	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/csaf"
	"stockade.dev/stockade/internal/feed/cve5"
	"stockade.dev/stockade/internal/feed/cvrf"
	"stockade.dev/stockade/internal/feed/eol"
	"stockade.dev/stockade/internal/feed/epss"
	"stockade.dev/stockade/internal/feed/errata"
	"stockade.dev/stockade/internal/feed/kev"
	"stockade.dev/stockade/internal/feed/kubernetes"
	"stockade.dev/stockade/internal/feed/nvd"
	"stockade.dev/stockade/internal/feed/operator"
	"stockade.dev/stockade/internal/feed/osv"
	"stockade.dev/stockade/internal/feed/oval"
	"stockade.dev/stockade/internal/feed/photon"
	"stockade.dev/stockade/internal/feed/redhat"
	"stockade.dev/stockade/internal/feed/secdb"
	"stockade.dev/stockade/internal/feed/tracker"
	"stockade.dev/stockade/internal/feed/ubuntu"
	"stockade.dev/stockade/internal/feed/updateinfo"
	"stockade.dev/stockade/internal/feed/wolfi"
)

// All are the readers. Each knows its documents by their content, and a test holds that no two know the same one, so the order
// matters for speed only.
var All = slices.Concat([]feed.Reader{
	osv.Reader, csaf.Reader, oval.Reader, updateinfo.Reader, cvrf.Reader, nvd.Reader, cve5.Reader,
	secdb.Reader, wolfi.Reader, tracker.Reader, tracker.Lists, ubuntu.Reader, photon.Reader, kubernetes.Reader, redhat.Reader,
	kev.Reader, epss.Reader, eol.Reader, operator.Reader,
}, errata.Readers)
