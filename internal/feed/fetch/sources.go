package fetch

import "strings"

// Kind is the way from a source's URL to its file.
type Kind string

// The kinds.
const (
	File   Kind = "file"   // URL is the file
	Repomd Kind = "repomd" // URL is an RPM repository: its updateinfo is taken
	List   Kind = "list"   // URL is a list of repositories, one URL a line: the first is taken as Repomd
	Latest Kind = "latest" // URL is a text file that names the newest archive beside it
)

// Source is a line of the table of public feeds.
type Source struct {
	Name     string // what --feed takes
	Path     string // where it is saved below the output folder; the first element names the publisher
	URL      string
	Kind     Kind
	Optional bool   // only when named: very large, or not known to exist everywhere
	Note     string // for the reader of the table
}

// osvBucket is where osv.dev exports its ecosystems.
const osvBucket = "https://storage.googleapis.com/osv-vulnerabilities/"

// Sources is the table of public feeds. URLs are those that publishers document; a mirror of one's own is set by prefix.
var Sources = []Source{
	// RPM systems
	{Name: "redhat-vex", Path: "redhat/csaf_vex.tar.zst", Kind: Latest, URL: "https://security.access.redhat.com/data/csaf/v2/vex/archive_latest.txt", Note: "RHEL, also for CentOS: fixed and not fixed, by CVE"},
	{Name: "redhat-advisories", Path: "redhat/csaf_advisories.tar.zst", Kind: Latest, Optional: true, URL: "https://security.access.redhat.com/data/csaf/v2/advisories/archive_latest.txt", Note: "RHEL errata; redhat-vex has their content"},
	{Name: "redhat-repositories", Path: "redhat/repository-to-cpe.json", Kind: File, URL: "https://security.access.redhat.com/data/meta/v1/repository-to-cpe.json", Note: "content sets to products"},
	{Name: "almalinux", Path: "almalinux/osv.tar.gz", Kind: File, URL: "https://github.com/AlmaLinux/osv-database/archive/refs/heads/master.tar.gz", Note: "AlmaLinux OSV"},
	{Name: "almalinux-8-errata", Path: "almalinux/8/errata.full.json", Kind: File, URL: "https://errata.almalinux.org/8/errata.full.json", Note: "errata with module streams"},
	{Name: "almalinux-9-errata", Path: "almalinux/9/errata.full.json", Kind: File, URL: "https://errata.almalinux.org/9/errata.full.json", Note: "errata with module streams"},
	{Name: "almalinux-10-errata", Path: "almalinux/10/errata.full.json", Kind: File, URL: "https://errata.almalinux.org/10/errata.full.json", Note: "errata with module streams"},
	{Name: "rocky", Path: "rocky/osv.zip", Kind: File, URL: osvBucket + "Rocky%20Linux/all.zip", Note: "Rocky Linux OSV"},
	{Name: "oracle", Path: "oracle/com.oracle.elsa-all.xml.bz2", Kind: File, URL: "https://linux.oracle.com/security/oval/com.oracle.elsa-all.xml.bz2", Note: "Oracle Linux OVAL, all releases"},
	{Name: "suse", Path: "suse/osv.tar.bz2", Kind: File, URL: "https://ftp.suse.com/pub/projects/security/osv.tar.bz2", Note: "SLES and openSUSE OSV"},
	{Name: "suse-vex", Path: "suse/csaf-vex.tar.bz2", Kind: File, Optional: true, URL: "https://ftp.suse.com/pub/projects/security/csaf-vex.tar.bz2", Note: "SUSE by CVE, with what is not fixed"},
	{Name: "openeuler", Path: "openeuler/osv.zip", Kind: File, URL: osvBucket + "openEuler/all.zip", Note: "openEuler OSV"},
	{Name: "amazon-2", Path: "amazon/2/updateinfo.xml", Kind: List, URL: "https://cdn.amazonlinux.com/2/core/latest/x86_64/mirror.list", Note: "Amazon Linux 2 core"},
	{Name: "amazon-2023", Path: "amazon/2023/updateinfo.xml", Kind: List, URL: "https://cdn.amazonlinux.com/al2023/core/mirrors/latest/x86_64/mirror.list", Note: "Amazon Linux 2023"},
	{Name: "fedora-42", Path: "fedora/42/updateinfo.xml", Kind: Repomd, URL: "https://dl.fedoraproject.org/pub/fedora/linux/updates/42/Everything/x86_64/", Note: "Fedora updates"},
	{Name: "fedora-43", Path: "fedora/43/updateinfo.xml", Kind: Repomd, URL: "https://dl.fedoraproject.org/pub/fedora/linux/updates/43/Everything/x86_64/", Note: "Fedora updates"},
	{Name: "azurelinux", Path: "azurelinux/oval.tar.gz", Kind: File, URL: "https://github.com/microsoft/AzureLinuxVulnerabilityData/archive/refs/heads/main.tar.gz", Note: "Azure Linux and Mariner"},
	{Name: "photon-4", Path: "photon/cve_data_photon4.0.json", Kind: File, URL: "https://packages.broadcom.com/photon/photon_cve_metadata/cve_data_photon4.0.json"},
	{Name: "photon-5", Path: "photon/cve_data_photon5.0.json", Kind: File, URL: "https://packages.broadcom.com/photon/photon_cve_metadata/cve_data_photon5.0.json"},
	{Name: "anolis-7", Path: "anolis/anolis-7.oval.xml", Kind: File, URL: "https://anas.openanolis.cn/api/data/OVAL/anolis-7.oval.xml", Note: "Anolis OVAL; also the base of UOS a"},
	{Name: "anolis-8", Path: "anolis/anolis-8.oval.xml", Kind: File, URL: "https://anas.openanolis.cn/api/data/OVAL/anolis-8.oval.xml"},
	{Name: "anolis-23", Path: "anolis/anolis-23.oval.xml", Kind: File, URL: "https://anas.openanolis.cn/api/data/OVAL/anolis-23.oval.xml"},
	{Name: "tencentos", Path: "tencentos/cve.xml", Kind: File, URL: "https://mirrors.tencent.com/tlinux/errata/cve.xml"},
	{Name: "hce-2.0", Path: "hce/2.0/updateinfo.xml", Kind: Repomd, Optional: true, URL: "https://repo.huaweicloud.com/hce/2.0/updates/x86_64/", Note: "Huawei Cloud EulerOS; not every mirror carries updateinfo"},
	{Name: "kylin-v10-sp1", Path: "kylin/V10-SP1/updateinfo.xml", Kind: Repomd, Optional: true, URL: "https://update.cs2c.com.cn/NS/V10/V10SP1/os/adv/lic/updates/x86_64/", Note: "Kylin; not every mirror carries updateinfo"},
	{Name: "kylin-v10-sp2", Path: "kylin/V10-SP2/updateinfo.xml", Kind: Repomd, Optional: true, URL: "https://update.cs2c.com.cn/NS/V10/V10SP2/os/adv/lic/updates/x86_64/", Note: "Kylin; not every mirror carries updateinfo"},
	{Name: "kylin-v10-sp3", Path: "kylin/V10-SP3/updateinfo.xml", Kind: Repomd, Optional: true, URL: "https://update.cs2c.com.cn/NS/V10/V10SP3/os/adv/lic/updates/x86_64/", Note: "Kylin; not every mirror carries updateinfo"},
	{Name: "ctyunos-23.01", Path: "ctyunos/23.01/updateinfo.xml", Kind: Repomd, Optional: true, URL: "https://repo.ctyun.cn/hostos/ctyunos-23.01/update/x86_64/", Note: "CTyunOS; not every mirror carries updateinfo"},

	// Debian, Ubuntu
	{Name: "debian", Path: "debian/tracker.json", Kind: File, URL: "https://security-tracker.debian.org/tracker/data/json", Note: "Debian security tracker, with what is not fixed and why"},
	{Name: "ubuntu", Path: "ubuntu/osv-all.tar.xz", Kind: File, URL: "https://security-metadata.canonical.com/osv/osv-all.tar.xz", Note: "Ubuntu OSV, with ESM"},

	// Alpine and its like
	{Name: "alpine-3.19-main", Path: "alpine/v3.19/main.json", Kind: File, URL: "https://secdb.alpinelinux.org/v3.19/main.json"},
	{Name: "alpine-3.19-community", Path: "alpine/v3.19/community.json", Kind: File, URL: "https://secdb.alpinelinux.org/v3.19/community.json"},
	{Name: "alpine-3.20-main", Path: "alpine/v3.20/main.json", Kind: File, URL: "https://secdb.alpinelinux.org/v3.20/main.json"},
	{Name: "alpine-3.20-community", Path: "alpine/v3.20/community.json", Kind: File, URL: "https://secdb.alpinelinux.org/v3.20/community.json"},
	{Name: "alpine-3.21-main", Path: "alpine/v3.21/main.json", Kind: File, URL: "https://secdb.alpinelinux.org/v3.21/main.json"},
	{Name: "alpine-3.21-community", Path: "alpine/v3.21/community.json", Kind: File, URL: "https://secdb.alpinelinux.org/v3.21/community.json"},
	{Name: "alpine-3.22-main", Path: "alpine/v3.22/main.json", Kind: File, URL: "https://secdb.alpinelinux.org/v3.22/main.json"},
	{Name: "alpine-3.22-community", Path: "alpine/v3.22/community.json", Kind: File, URL: "https://secdb.alpinelinux.org/v3.22/community.json"},
	{Name: "alpine-edge-main", Path: "alpine/edge/main.json", Kind: File, URL: "https://secdb.alpinelinux.org/edge/main.json"},
	{Name: "alpine-edge-community", Path: "alpine/edge/community.json", Kind: File, URL: "https://secdb.alpinelinux.org/edge/community.json"},
	{Name: "alpine", Path: "alpine/osv.zip", Kind: File, Optional: true, URL: osvBucket + "Alpine/all.zip", Note: "all releases of Alpine, older ones too"},
	{Name: "wolfi", Path: "wolfi/security.json", Kind: File, URL: "https://packages.wolfi.dev/os/security.json"},
	{Name: "chainguard", Path: "chainguard/security.json", Kind: File, URL: "https://packages.cgr.dev/chainguard/security.json"},

	// ecosystems and middleware
	{Name: "maven", Path: "ghsa/maven.zip", Kind: File, URL: osvBucket + "Maven/all.zip", Note: "GitHub advisories of Maven"},
	{Name: "npm", Path: "ghsa/npm.zip", Kind: File, URL: osvBucket + "npm/all.zip"},
	{Name: "pypi", Path: "ghsa/pypi.zip", Kind: File, URL: osvBucket + "PyPI/all.zip"},
	{Name: "gem", Path: "ghsa/gem.zip", Kind: File, URL: osvBucket + "RubyGems/all.zip"},
	{Name: "cargo", Path: "ghsa/cargo.zip", Kind: File, URL: osvBucket + "crates.io/all.zip"},
	{Name: "nuget", Path: "ghsa/nuget.zip", Kind: File, URL: osvBucket + "NuGet/all.zip"},
	{Name: "composer", Path: "ghsa/composer.zip", Kind: File, URL: osvBucket + "Packagist/all.zip"},
	{Name: "go", Path: "go/vulndb.zip", Kind: File, URL: "https://vuln.go.dev/vulndb.zip", Note: "Go modules and the standard library, with symbols"},
	{Name: "kubernetes", Path: "kubernetes/cve-feed-osv.tar.gz", Kind: File, URL: "https://github.com/kubernetes-sigs/cve-feed-osv/archive/refs/heads/main.tar.gz", Note: "Kubernetes components"},
	{Name: "bitnami", Path: "bitnami/vulndb.tar.gz", Kind: File, URL: "https://github.com/bitnami/vulndb/archive/refs/heads/main.tar.gz", Note: "middleware outside of packages: nginx, PostgreSQL, Tomcat, ..."},

	// CPE and decoration
	{Name: "nvd-recent", Path: "nvd/nvdcve-2.0-recent.json.gz", Kind: File, URL: nvdFeed + "recent.json.gz"},
	{Name: "nvd-modified", Path: "nvd/nvdcve-2.0-modified.json.gz", Kind: File, URL: nvdFeed + "modified.json.gz"},
	{Name: "nvd-2026", Path: "nvd/nvdcve-2.0-2026.json.gz", Kind: File, URL: nvdFeed + "2026.json.gz"},
	{Name: "nvd-2025", Path: "nvd/nvdcve-2.0-2025.json.gz", Kind: File, URL: nvdFeed + "2025.json.gz"},
	{Name: "nvd-2024", Path: "nvd/nvdcve-2.0-2024.json.gz", Kind: File, URL: nvdFeed + "2024.json.gz"},
	{Name: "nvd-2023", Path: "nvd/nvdcve-2.0-2023.json.gz", Kind: File, URL: nvdFeed + "2023.json.gz"},
	{Name: "nvd-2022", Path: "nvd/nvdcve-2.0-2022.json.gz", Kind: File, URL: nvdFeed + "2022.json.gz"},
	{Name: "nvd-2021", Path: "nvd/nvdcve-2.0-2021.json.gz", Kind: File, URL: nvdFeed + "2021.json.gz"},
	{Name: "nvd-2020", Path: "nvd/nvdcve-2.0-2020.json.gz", Kind: File, URL: nvdFeed + "2020.json.gz"},
	{Name: "nvd-2019", Path: "nvd/nvdcve-2.0-2019.json.gz", Kind: File, URL: nvdFeed + "2019.json.gz"},
	{Name: "nvd-2018", Path: "nvd/nvdcve-2.0-2018.json.gz", Kind: File, URL: nvdFeed + "2018.json.gz"},
	{Name: "nvd-2017", Path: "nvd/nvdcve-2.0-2017.json.gz", Kind: File, URL: nvdFeed + "2017.json.gz"},
	{Name: "nvd-2016", Path: "nvd/nvdcve-2.0-2016.json.gz", Kind: File, URL: nvdFeed + "2016.json.gz"},
	{Name: "nvd-overrides", Path: "nvd/overrides.tar.gz", Kind: File, URL: "https://github.com/anchore/nvd-data-overrides/archive/refs/heads/main.tar.gz", Note: "CPE ranges that the NVD lacks"},
	{Name: "vulnrichment", Path: "vulnrichment/cve5.tar.gz", Kind: File, Optional: true, URL: "https://github.com/cisagov/vulnrichment/archive/refs/heads/develop.tar.gz", Note: "CVE records with CPE, large"},
	{Name: "kev", Path: "kev/known_exploited_vulnerabilities.json", Kind: File, URL: "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json", Note: "known exploited vulnerabilities"},
	{Name: "epss", Path: "epss/epss_scores-current.csv.gz", Kind: File, URL: "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz", Note: "probability of exploitation"},
	{Name: "eol", Path: "eol/products.json", Kind: File, URL: "https://endoflife.date/api/v1/products/full", Note: "end of life of releases"},
}

const nvdFeed = "https://nvd.nist.gov/feeds/json/cve/2.0/nvdcve-2.0-"

// Select returns the sources that names ask for: a name, or the beginning of names up to a "-", such as "nvd". Without names
// all that are not optional. It returns the names that nothing answers to as well.
func Select(table []Source, names []string) (chosen []Source, unknown []string) {
	if len(names) == 0 {
		for _, s := range table {
			if !s.Optional {
				chosen = append(chosen, s)
			}
		}
		return chosen, nil
	}
	taken := map[string]bool{}
	for _, n := range names {
		exact, known := false, false
		for _, s := range table {
			exact = exact || s.Name == n
		}
		for _, s := range table {
			if s.Name != n && (exact || !strings.HasPrefix(s.Name, n+"-")) {
				continue
			}
			known = true
			if !taken[s.Name] {
				taken[s.Name] = true
				chosen = append(chosen, s)
			}
		}
		if !known {
			unknown = append(unknown, n)
		}
	}
	return chosen, unknown
}
