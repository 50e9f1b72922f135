package repair

import (
	"encoding/json"
	"encoding/xml"
	"regexp"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/purl"
)

// Update is the way to the version of a package that does not have a vulnerability. Nothing is tried: whether a newer version suits
// the program only its tests tell.
func Update(f *finding.Finding) Fix {
	v := f.Vulnerability
	fix := Fix{Steps: Steps(f)}
	if v == nil {
		fix.Reason = noRule
		return fix
	}
	if v.FixedVersion == "" {
		fix.Reason = finding.Text{EN: "no fixed version yet: state of the advisory is " + stateOf(v), ZH: "尚无已修复版本：公告状态为 " + stateOf(v)}
		fix.Steps = append(fix.Steps, unfixedSteps...)
		return fix
	}
	p, distro, err := purl.Parse(v.PURL)
	if err != nil || !sayable(p.Name) || !sayable(v.FixedVersion) {
		fix.Reason = finding.Text{EN: "the package is of no kind that this server knows commands for", ZH: "该软件包的类型没有对应的升级命令"}
		return fix
	}
	fix.Available = true
	switch {
	case v.Owner != "" && !p.Type.System() && sayable(v.Owner):
		fix.Steps = append(fix.Steps, finding.Text{EN: "The file belongs to the system package " + v.Owner + ": update that one with the system's package manager, not the file alone.",
			ZH: "该文件属于系统软件包 " + v.Owner + "：请通过系统包管理器升级该软件包，而不是单独替换文件。"})
		fix.Available = false
		fix.Reason = finding.Text{EN: "the file is part of a system package", ZH: "该文件属于系统软件包"}
	case p.Type.System():
		fix.Patch = system(p, distro, v.FixedVersion)
	default:
		fix.Patch = application(p, v.FixedVersion)
	}
	if fix.Patch == nil && fix.Available {
		fix.Available = false
		fix.Reason = finding.Text{EN: "the program was recognised by its bytes: replace it by a build of the fixed version", ZH: "该程序由二进制特征识别：请替换为已修复版本的构建"}
	}
	fix.Steps = append(fix.Steps, rebuildSteps(f, p)...)
	return fix
}

var unfixedSteps = []finding.Text{
	{EN: "Leave the package out if the program does not need it, or take an image without it.", ZH: "如果程序不需要该软件包，将其移除或换用不含它的镜像。"},
	{EN: "Limit who reaches the workload with a NetworkPolicy, and what it may do: no root, no capabilities, a read-only file system.", ZH: "用 NetworkPolicy 限制谁能访问该工作负载，并限制其权限：非 root、去除 capability、只读文件系统。"},
	{EN: "Ask for an exception with an end, so that it is looked at again.", ZH: "申请带有效期的例外，到期后重新评估。"},
}

func stateOf(v *finding.Vulnerable) string {
	if v.State == "" {
		return "affected"
	}
	return v.State
}

func rebuildSteps(f *finding.Finding, p inventory.Package) []finding.Text {
	var out []finding.Text
	if f.Resource.Node != "" && f.Resource.Image == "" {
		return append(out, finding.Text{EN: "Run the command on the node, one node after another: drain it first, and restart what uses the package.", ZH: "逐个节点执行：先驱逐 Pod，再升级并重启使用该软件包的服务。"})
	}
	if p.Type.System() {
		out = append(out, finding.Text{EN: "A package of the base image is best updated by a newer base image; the line is for images whose base has none yet.", ZH: "来自基础镜像的软件包最好通过更新基础镜像解决；仅当基础镜像尚未更新时才使用该行。"})
	}
	return append(out, finding.Text{EN: "Build the image again under a new tag, scan it, and roll it out; running containers keep the old one until then.", ZH: "以新标签重新构建镜像，扫描后发布；在此之前运行中的容器仍使用旧版本。"})
}

// words are names and versions that may stand in commands.
var words = regexp.MustCompile(`^[@A-Za-z0-9][A-Za-z0-9@._:/+~-]{0,250}$`)

func sayable(s string) bool { return words.MatchString(s) }

// system are the lines that update a system package.
func system(p inventory.Package, distro, fixed string) *Patch {
	n := p.Name
	var line, here string
	family, _, _ := strings.Cut(distro, "-")
	switch p.Type {
	case inventory.Deb:
		here = "apt-get update && apt-get install -y --only-upgrade " + n
		line = "RUN " + here + " \\\n    && rm -rf /var/lib/apt/lists/*"
	case inventory.APK:
		here = "apk add --no-cache --upgrade '" + n + ">=" + fixed + "'"
		line = "RUN " + here
	case inventory.RPM:
		tool, clean := "dnf upgrade -y ", "dnf clean all"
		switch {
		case strings.HasPrefix(family, "sles") || strings.HasPrefix(family, "opensuse") || family == "suse":
			tool, clean = "zypper --non-interactive update ", "zypper clean --all"
		case family == "photon" || family == "mariner" || family == "azurelinux":
			tool, clean = "tdnf update -y ", "tdnf clean all"
		case olderYum(distro):
			tool, clean = "yum update -y ", "yum clean all"
		}
		here = tool + n
		line = "RUN " + here + " && " + clean
	}
	return &Patch{Kind: "update", Filename: "Dockerfile", Command: here, Body: "# " + n + " " + fixed + " or later\n" + line + "\n"}
}

// olderYum reports whether a release has yum and no dnf.
func olderYum(distro string) bool {
	for _, s := range []string{"centos-6", "centos-7", "rhel-6", "rhel-7", "redhat-7", "ol-6", "ol-7", "amzn-1", "amzn-2"} {
		if rest, ok := strings.CutPrefix(distro, s); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

// application are the lines that update a library; nil for what is not installed by a package manager.
func application(p inventory.Package, fixed string) *Patch {
	n := p.Name
	switch p.Type {
	case inventory.Maven:
		group, artifact, _ := strings.Cut(n, ":")
		body := "<dependencyManagement>\n  <dependencies>\n    <dependency>\n      <groupId>" + inXML(group) + "</groupId>\n      <artifactId>" + inXML(artifact) +
			"</artifactId>\n      <version>" + inXML(fixed) + "</version>\n    </dependency>\n  </dependencies>\n</dependencyManagement>\n"
		return &Patch{Kind: "update", Filename: "pom.xml", Body: body, Command: "mvn versions:use-dep-version -Dincludes=" + quote(n) + " -DdepVersion=" + quote(fixed) + " -DforceVersion=true"}
	case inventory.NPM:
		body, _ := json.MarshalIndent(map[string]any{"overrides": map[string]string{n: ">=" + fixed}}, "", "  ") // of strings
		return &Patch{Kind: "update", Filename: "package.json", Body: strings.ReplaceAll(string(body), `\u003e`, ">") + "\n", Command: "npm install " + quote(n+"@"+fixed)}
	case inventory.PyPI:
		return &Patch{Kind: "update", Filename: "requirements.txt", Body: n + ">=" + fixed + "\n", Command: "pip install --upgrade '" + n + ">=" + fixed + "'"}
	case inventory.Golang:
		if n == "stdlib" {
			return &Patch{Kind: "update", Filename: "go.mod", Body: "toolchain go" + strings.TrimPrefix(fixed, "go") + "\n", Command: "go get toolchain@go" + strings.TrimPrefix(fixed, "go")}
		}
		v := "v" + strings.TrimPrefix(fixed, "v")
		return &Patch{Kind: "update", Filename: "go.mod", Body: "require " + n + " " + v + "\n", Command: "go get " + quote(n+"@"+v) + " && go mod tidy"}
	case inventory.Gem:
		return &Patch{Kind: "update", Filename: "Gemfile", Body: "gem '" + n + "', '>= " + fixed + "'\n", Command: "bundle update --conservative " + quote(n)}
	case inventory.Cargo:
		return &Patch{Kind: "update", Filename: "Cargo.toml", Body: "[dependencies]\n" + n + " = \"" + fixed + "\"\n", Command: "cargo update -p " + quote(n) + " --precise " + quote(fixed)}
	case inventory.NuGet:
		return &Patch{Kind: "update", Filename: "Directory.Packages.props", Body: `<PackageVersion Include="` + inXML(n) + `" Version="` + inXML(fixed) + `" />` + "\n",
			Command: "dotnet add package " + quote(n) + " --version " + quote(fixed)}
	case inventory.Composer:
		body, _ := json.MarshalIndent(map[string]any{"require": map[string]string{n: "^" + fixed}}, "", "  ") // of strings
		return &Patch{Kind: "update", Filename: "composer.json", Body: string(body) + "\n", Command: "composer require " + quote(n+":^"+fixed) + " --with-all-dependencies"}
	}
	return nil
}

func inXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // to memory
	return b.String()
}
