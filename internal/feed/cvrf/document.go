package cvrf

// document holds the elements of CVRF 1.1 and 1.2 that rows are made of.
// https://docs.oasis-open.org/csaf/csaf-cvrf/v1.2/csaf-cvrf-v1.2.html
type document struct {
	Title     string `xml:"DocumentTitle"`
	Type      string `xml:"DocumentType"`
	Authority string `xml:"DocumentPublisher>IssuingAuthority"`
	Contact   string `xml:"DocumentPublisher>ContactDetails"`
	Tracking  struct {
		ID      string `xml:"Identification>ID"`
		Initial string `xml:"InitialReleaseDate"`
		Current string `xml:"CurrentReleaseDate"`
	} `xml:"DocumentTracking"`
	Notes []struct {
		Title string `xml:"Title,attr"`
		Text  string `xml:",chardata"`
	} `xml:"DocumentNotes>Note"`
	References []string `xml:"DocumentReferences>Reference>URL"`
	Tree       struct {
		Branches      []branch `xml:"Branch"`
		Names         []name   `xml:"FullProductName"`
		Relationships []struct {
			Component string `xml:"ProductReference,attr"`
			Platform  string `xml:"RelatesToProductReference,attr"`
			Name      name   `xml:"FullProductName"`
		} `xml:"Relationship"`
	} `xml:"ProductTree"`
	Hot             *struct{}       `xml:"HotPatchTree"`
	Vulnerabilities []vulnerability `xml:"Vulnerability"`
}

type branch struct {
	Type     string   `xml:"Type,attr"`
	Name     string   `xml:"Name,attr"`
	Branches []branch `xml:"Branch"`
	Names    []name   `xml:"FullProductName"`
}

type name struct {
	ID   string `xml:"ProductID,attr"`
	CPE  string `xml:"CPE,attr"`
	Text string `xml:",chardata"`
}

type vulnerability struct {
	CVE   string `xml:"CVE"`
	Notes []struct {
		Title string `xml:"Title,attr"`
		Text  string `xml:",chardata"`
	} `xml:"Notes>Note"`
	Released string `xml:"ReleaseDate"`
	Statuses []struct {
		Type     string   `xml:"Type,attr"`
		Products []string `xml:"ProductID"`
	} `xml:"ProductStatuses>Status"`
	Threats []struct {
		Type string `xml:"Type,attr"`
		Text string `xml:"Description"`
	} `xml:"Threats>Threat"`
	Scores []struct {
		Base     string `xml:"BaseScore"`
		Vector   string `xml:"Vector"`
		BaseV3   string `xml:"BaseScoreV3"`
		VectorV3 string `xml:"VectorV3"`
	} `xml:"CVSSScoreSets>ScoreSet"`
	ScoresV3 []struct {
		BaseV3   string `xml:"BaseScoreV3"`
		VectorV3 string `xml:"VectorV3"`
	} `xml:"CVSSScoreSets>ScoreSetV3"`
	References []string `xml:"References>Reference>URL"`
}
