package nvd

import "encoding/json"

// item is one CVE of the 2.0 API and feeds. https://nvd.nist.gov/developers/vulnerabilities
type item struct {
	ID           string `json:"id"`
	Published    string `json:"published"`
	Modified     string `json:"lastModified"`
	Status       string `json:"vulnStatus"`
	Descriptions []text `json:"descriptions"`
	Metrics      struct {
		V40 []metric `json:"cvssMetricV40"`
		V31 []metric `json:"cvssMetricV31"`
		V30 []metric `json:"cvssMetricV30"`
		V2  []metric `json:"cvssMetricV2"`
	} `json:"metrics"`
	Weaknesses []struct {
		Description []text `json:"description"`
	} `json:"weaknesses"`
	Configurations []configuration `json:"configurations"`
	References     []struct {
		URL string `json:"url"`
	} `json:"references"`
}

type text struct {
	Lang  string `json:"lang"`
	Value string `json:"value"`
}

type metric struct {
	Source string `json:"source"`
	Type   string `json:"type"`
	Data   cvss   `json:"cvssData"`
}

type cvss struct {
	Vector string  `json:"vectorString"`
	Base   float64 `json:"baseScore"`
}

type configuration struct {
	Operator string `json:"operator"`
	Negate   bool   `json:"negate"`
	Nodes    []node `json:"nodes"`
}

type node struct {
	Operator string  `json:"operator"`
	Negate   bool    `json:"negate"`
	Matches  []match `json:"cpeMatch"`
	// The 1.1 feeds nest nodes and spell matches otherwise.
	Children []node  `json:"children"`
	Old      []match `json:"cpe_match"`
}

type match struct {
	Vulnerable     bool   `json:"vulnerable"`
	Criteria       string `json:"criteria"`
	URI            string `json:"cpe23Uri"`
	StartIncluding string `json:"versionStartIncluding"`
	StartExcluding string `json:"versionStartExcluding"`
	EndIncluding   string `json:"versionEndIncluding"`
	EndExcluding   string `json:"versionEndExcluding"`
}

// old is one CVE of the 1.1 feeds, which NVD does not make any more but mirrors keep.
type old struct {
	CVE struct {
		Meta struct {
			ID string `json:"ID"`
		} `json:"CVE_data_meta"`
		Problem struct {
			Data []struct {
				Description []text `json:"description"`
			} `json:"problemtype_data"`
		} `json:"problemtype"`
		References struct {
			Data []struct {
				URL string `json:"url"`
			} `json:"reference_data"`
		} `json:"references"`
		Description struct {
			Data []text `json:"description_data"`
		} `json:"description"`
	} `json:"cve"`
	Configurations struct {
		Nodes []node `json:"nodes"`
	} `json:"configurations"`
	Impact struct {
		V3 struct {
			Data cvss `json:"cvssV3"`
		} `json:"baseMetricV3"`
		V2 struct {
			Data cvss `json:"cvssV2"`
		} `json:"baseMetricV2"`
	} `json:"impact"`
	Published string `json:"publishedDate"`
	Modified  string `json:"lastModifiedDate"`
}

// modern turns an item of the 1.1 feeds into one of 2.0.
func (o *old) modern() *item {
	it := &item{ID: o.CVE.Meta.ID, Published: o.Published, Modified: o.Modified, Descriptions: o.CVE.Description.Data}
	for _, p := range o.CVE.Problem.Data {
		it.Weaknesses = append(it.Weaknesses, struct {
			Description []text `json:"description"`
		}{p.Description})
	}
	for _, r := range o.CVE.References.Data {
		it.References = append(it.References, struct {
			URL string `json:"url"`
		}{r.URL})
	}
	if o.Impact.V3.Data.Vector != "" {
		it.Metrics.V31 = []metric{{Source: nist, Type: "Primary", Data: o.Impact.V3.Data}}
	}
	if o.Impact.V2.Data.Vector != "" {
		it.Metrics.V2 = []metric{{Source: nist, Type: "Primary", Data: o.Impact.V2.Data}}
	}
	for _, n := range o.Configurations.Nodes {
		c := configuration{Operator: "OR", Negate: n.Negate, Nodes: []node{n}}
		if n.Operator == "AND" && len(n.Children) > 0 {
			c = configuration{Operator: "AND", Negate: n.Negate}
			for _, child := range n.Children {
				c.Nodes = append(c.Nodes, flat(child, 0))
			}
			if len(n.Old) > 0 {
				c.Nodes = append(c.Nodes, node{Operator: "OR", Matches: n.Old})
			}
		} else {
			c.Nodes[0] = flat(n, 0)
		}
		it.Configurations = append(it.Configurations, c)
	}
	return it
}

// flat brings the matches of a node and of those in it to one list: the feeds nest two deep at most.
func flat(n node, depth int) node {
	out := node{Operator: n.Operator, Negate: n.Negate, Matches: append(n.Matches, n.Old...)}
	if depth < 8 {
		for _, child := range n.Children {
			f := flat(child, depth+1)
			out.Matches = append(out.Matches, f.Matches...)
			out.Negate = out.Negate || f.Negate
		}
	}
	return out
}

const nist = "nvd@nist.gov"

// override is a file of anchore/nvd-data-overrides: configurations for CVEs that NVD has not looked at.
type override struct {
	Annotation struct {
		ID          string `json:"cve_id"`
		Description string `json:"description"`
		Published   string `json:"published"`
		Modified    string `json:"modified"`
	} `json:"_annotation"`
	CVE json.RawMessage `json:"cve"`
}
