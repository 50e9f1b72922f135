package policy

import (
	"strings"

	"stockade.dev/stockade/internal/finding"
)

// Texts say what a check is about.
type Texts struct {
	Title, Why, Fix finding.Text
	Severity        finding.Severity
}

// Says reports whether every word of a search stands in the texts.
func (t Texts) Says(search string) bool {
	all := strings.ToLower(t.Title.EN + " " + t.Title.ZH + " " + t.Why.EN)
	for word := range strings.FieldsSeq(strings.ToLower(search)) {
		if !strings.Contains(all, word) {
			return false
		}
	}
	return true
}

// TextsOf are the texts of a check.
func TextsOf(c Check) Texts {
	for i := range checkTexts {
		if checkTexts[i].check == c {
			return checkTexts[i].Texts
		}
	}
	return Texts{Title: finding.Text{EN: "Image check " + string(c), ZH: "镜像检查 " + string(c)}, Severity: finding.High}
}

var checkTexts = []struct {
	check Check
	Texts
}{
	{Vulnerabilities, Texts{
		finding.Text{EN: "Image with vulnerabilities", ZH: "镜像存在漏洞"},
		finding.Text{EN: "Known vulnerabilities in packages of the image can be exploited as soon as its container runs.", ZH: "镜像软件包中的已知漏洞在容器运行后即可被利用。"},
		finding.Text{EN: "Update the packages or the base image, build the image anew and use that.", ZH: "升级软件包或基础镜像，重新构建后使用新镜像。"}, finding.High}},
	{Malware, Texts{
		finding.Text{EN: "Image with malicious files", ZH: "镜像含有恶意文件"},
		finding.Text{EN: "A file of the image is known to be malicious.", ZH: "镜像中存在已知的恶意文件。"},
		finding.Text{EN: "Do not run it. Find out how the file came into the image, and build it anew from sources that you trust.", ZH: "请勿运行。查明文件来源，并从可信来源重新构建镜像。"}, finding.Critical}},
	{Baseline, Texts{
		finding.Text{EN: "Image with unsafe settings", ZH: "镜像基线不合规"},
		finding.Text{EN: "Settings of the image, such as accounts with empty passwords, make a break-in easier.", ZH: "镜像中的不安全设置（如空口令账号）会降低入侵难度。"},
		finding.Text{EN: "Correct the settings in the Dockerfile and build the image anew.", ZH: "在 Dockerfile 中修正设置并重新构建镜像。"}, finding.Medium}},
	{Secrets, Texts{
		finding.Text{EN: "Image with credentials", ZH: "镜像含有敏感信息"},
		finding.Text{EN: "Whoever can pull the image can read the credentials in it.", ZH: "任何能拉取镜像的人都能读取其中的凭据。"},
		finding.Text{EN: "Withdraw the credentials, take them out of every layer, and give them to the container as a Secret.", ZH: "吊销凭据，从所有镜像层中移除，改用 Secret 传入容器。"}, finding.High}},
	{Unscanned, Texts{
		finding.Text{EN: "Image without a fresh scan result", ZH: "镜像未扫描或扫描结果过期"},
		finding.Text{EN: "Nobody knows what the image holds, or the result is too old to be trusted.", ZH: "镜像内容未知，或扫描结果已过期不可信。"},
		finding.Text{EN: "Have the image scanned before it is used: stockade scan image, or the console.", ZH: "使用前先扫描镜像：stockade scan image，或在控制台中扫描。"}, finding.Medium}},
	{Registry, Texts{
		finding.Text{EN: "Image from a place that is not allowed", ZH: "镜像来源不在允许范围内"},
		finding.Text{EN: "Images from anywhere are under nobody's control: what a name stands for may change at any time.", ZH: "来源不受控的镜像，其内容随时可能被更改。"},
		finding.Text{EN: "Copy the image to an allowed registry and use it from there.", ZH: "将镜像复制到允许的镜像仓库后再使用。"}, finding.High}},
	{Signature, Texts{
		finding.Text{EN: "Image without a valid signature", ZH: "镜像没有有效签名"},
		finding.Text{EN: "Without a signature nobody can tell whether the image is what the build made.", ZH: "没有签名，无法确认镜像是否为构建产物。"},
		finding.Text{EN: "Sign the image in the build with one of the trusted keys.", ZH: "在构建流程中使用受信任的密钥对镜像签名。"}, finding.High}},
	{Tag, Texts{
		finding.Text{EN: "Image named by a tag", ZH: "镜像以标签引用"},
		finding.Text{EN: "What a tag names can change: what was checked may not be what runs.", ZH: "标签指向的内容可能改变：检查过的镜像未必是实际运行的镜像。"},
		finding.Text{EN: "Name the image by its digest: repository@sha256:...", ZH: "使用摘要引用镜像：repository@sha256:..."}, finding.Medium}},
}
