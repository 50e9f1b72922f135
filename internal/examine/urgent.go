package examine

import (
	"context"

	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/match"
	"stockade.dev/stockade/internal/scan"
)

// Urgent judges what was read of images and nodes for emergency vulnerabilities.
type Urgent struct {
	List    []*emergency.Emergency
	Allowed []emergency.Class
	// Matcher asks the advisories of systems; nil without a database.
	Matcher *match.Matcher
	// Complete adds what is known beside the inventory: facts of a node, its files, local ports. The function that it returns ends that.
	Complete func(ctx context.Context, sw *inventory.Software, s *emergency.Subject) (done func())
	// Took is given every result, also those that are no finding; may be nil.
	Took func(sw *inventory.Software, results []emergency.Result)
}

// Judge returns the results for one inventory.
func (u *Urgent) Judge(ctx context.Context, sw *inventory.Software, cluster *inventory.Cluster) []emergency.Result {
	s := emergency.Subject{Name: sw.Name, Software: sw, Cluster: cluster}
	if sw.Image != nil && sw.Image.Digest != "" {
		s.Name = sw.Image.Digest
	}
	if u.Matcher != nil {
		s.Vendor = Vendor(u.Matcher, sw)
	}
	if u.Complete != nil {
		defer u.Complete(ctx, sw, &s)()
	}
	results := emergency.Judge(ctx, u.List, s, u.Allowed)
	if u.Took != nil {
		u.Took(sw, results)
	}
	return results
}

// Findings is the form of scan.Software.Urgent.
func (u *Urgent) Findings(ctx context.Context) func(sw *inventory.Software, use scan.Use, cluster string, objects *inventory.Cluster) []*finding.Finding {
	return func(sw *inventory.Software, use scan.Use, cluster string, objects *inventory.Cluster) []*finding.Finding {
		list := emergency.Findings(u.List, u.Judge(ctx, sw, objects), PlaceOf(sw, use, cluster))
		for _, f := range list {
			if use.Variant != "" {
				f.Fingerprint = finding.Identity{RuleID: f.Fingerprint, Item: use.Variant}.Fingerprint()
			}
		}
		return list
	}
}

// PlaceOf is where findings on an inventory belong: its image by repository, or its node.
func PlaceOf(sw *inventory.Software, use scan.Use, cluster string) emergency.Place {
	if sw.Kind == "node" {
		return emergency.NodePlace(cluster, sw.Name)
	}
	at := emergency.Place{Resource: finding.Resource{Cluster: cluster, Workloads: use.Workloads}, Identity: finding.Identity{Cluster: cluster}}
	if sw.Image == nil {
		at.Resource.Name = sw.Name
		at.Identity.Kind, at.Identity.File = sw.Kind, sw.Name
		return at
	}
	at.Resource.Image, at.Resource.Digest = sw.Image.Reference, sw.Image.Digest
	if at.Resource.Image == "" {
		at.Resource.Image = sw.Name
	}
	at.Identity.Kind = "Image"
	at.Identity.Name, _ = inventory.SplitReference(at.Resource.Image)
	return at
}

// Vendor asks a database what the vendor of an inventory's system says.
func Vendor(m *match.Matcher, sw *inventory.Software) func(id string, p *inventory.Package) emergency.Vendor {
	return func(id string, p *inventory.Package) emergency.Vendor {
		says := m.Says(sw, p, id)
		return emergency.Vendor{State: says.State, Fixed: says.Fixed, Advisory: says.Advisory, Source: says.Feed}
	}
}
