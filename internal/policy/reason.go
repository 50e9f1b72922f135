package policy

import (
	"strings"

	"stockade.dev/stockade/internal/finding"
)

// Cause is why there is no verdict on an image, or no signature, in one word. It stays the same in all languages.
type Cause string

// The causes that people can do something about at the registry or in the settings. Other reasons have words and no cause.
const (
	CauseForbidden   Cause = "forbidden"   // the registry wants other credentials
	CauseNotFound    Cause = "not-found"   // it has no such image
	CauseUnreachable Cause = "unreachable" // it cannot be connected to, or answers with an error of its own
	CauseSlow        Cause = "slow"        // it does not answer in time
	CauseCertificate Cause = "certificate" // its certificate is not trusted
	CauseThrottled   Cause = "throttled"   // it answers no more for now
	CauseTooLarge    Cause = "too-large"   // the image is larger than what is read
	CauseUnsupported Cause = "unsupported" // it is of a form that is not read
	CauseBroken      Cause = "broken"      // what the registry gives is no image
	CauseSkipped     Cause = "skipped"     // nobody asks the registry, as it was wanted
)

// reason is how a reason begins, in both languages.
type reason struct {
	cause Cause
	finding.Text
}

// reasons are why an image has no verdict or signature, as they begin. What follows comes from registries and scans and is no text of ours.
var reasons = []reason{
	{CauseForbidden, finding.Text{EN: "the registry denies access to the image", ZH: "镜像仓库拒绝访问该镜像"}},
	{CauseNotFound, finding.Text{EN: "the registry has no such image", ZH: "镜像仓库中没有该镜像"}},
	{CauseUnreachable, finding.Text{EN: "the registry cannot be reached", ZH: "无法连接镜像仓库"}},
	{CauseSlow, finding.Text{EN: "its registry does not answer in time", ZH: "镜像仓库未在时限内响应"}},
	{CauseCertificate, finding.Text{EN: "the certificate of the registry is not trusted", ZH: "镜像仓库的证书不受信任"}},
	{CauseThrottled, finding.Text{EN: "the registry limits how often it is asked", ZH: "镜像仓库限制了请求频率"}},
	{CauseTooLarge, finding.Text{EN: "the image is larger than what is read", ZH: "镜像大小超出读取上限"}},
	{CauseUnsupported, finding.Text{EN: "images of this form are not read", ZH: "暂不支持读取这种格式的镜像"}},
	{CauseBroken, finding.Text{EN: "the image cannot be read", ZH: "镜像内容无法读取"}},
	{CauseSkipped, finding.Text{EN: "the registry is not asked", ZH: "已设置为不查询镜像仓库"}},
	{CauseSkipped, finding.Text{EN: "the images of this cluster were saved: no registry is asked", ZH: "该集群的镜像为离线导入，不查询镜像仓库"}},
	{"", finding.Text{EN: ErrReference.Error(), ZH: "不是有效的镜像名称"}},
	{"", finding.Text{EN: "the policy is newer than what is known of the image, and the server could not be asked", ZH: "策略比已有的镜像判定更新，且暂时无法询问服务端"}},
	{"", finding.Text{EN: "nobody could be asked about the image", ZH: "暂时无法查询该镜像"}},
	{"", finding.Text{EN: "nobody knows which image it is", ZH: "无法确定是哪个镜像"}},
	{"", finding.Text{EN: "the image could not be scanned", ZH: "镜像无法扫描"}},
	{"", finding.Text{EN: "the image is being scanned", ZH: "镜像正在扫描"}},
	{"", finding.Text{EN: "the image was not scanned", ZH: "镜像未扫描"}},
	{"", finding.Text{EN: "it was read, and is not held against advisories yet", ZH: "镜像已读取，尚未与漏洞库比对"}},
	{"", finding.Text{EN: "it was not named as an image of a registry", ZH: "引用的不是镜像仓库中的镜像"}},
	{"", finding.Text{EN: "its signatures were not looked at", ZH: "未检查其签名"}},
	{"", finding.Text{EN: "its signatures could not be read", ZH: "无法读取其签名"}},
	{"", finding.Text{EN: "its signatures were made by other keys", ZH: "签名由其他密钥生成"}},
	{"", finding.Text{EN: "it has no signature", ZH: "无签名"}},
	{"", finding.Text{EN: "the key of the policy cannot be read", ZH: "无法读取策略中的密钥"}},
	{"", finding.Text{EN: "what was signed is not this image", ZH: "签名的对象不是该镜像"}},
	{"", finding.Text{EN: "more of the same kind", ZH: "更多同类情况"}},
	{"", finding.Text{EN: "the server has no advisory database", ZH: "服务端没有漏洞库"}},
}

// Because is a reason that begins with a cause; detail is what was said of it, as it was said.
func Because(c Cause, detail string) string {
	for i := range reasons {
		if c != "" && reasons[i].cause == c {
			return begin(reasons[i].EN, detail)
		}
	}
	return detail
}

func begin(text, detail string) string {
	if detail == "" || detail == text {
		return text
	}
	return text + ": " + detail
}

// part parts a reason from its detail; nil is a reason that is not ours.
func part(text string) (r *reason, detail string) {
	for i := range reasons {
		if rest, ok := strings.CutPrefix(text, reasons[i].EN); ok && (rest == "" || strings.HasPrefix(rest, ": ")) {
			return &reasons[i], strings.TrimPrefix(rest, ": ")
		}
	}
	return nil, text
}

// CauseOf is the cause of a reason, "" when it has none.
func CauseOf(text string) Cause {
	for {
		r, detail := part(text)
		if r == nil {
			return ""
		}
		if r.cause != "" {
			return r.cause
		}
		text = detail
	}
}

// ReasonIn is a reason in a language. What comes from elsewhere stays as it is.
func ReasonIn(lang, text string) string {
	r, detail := part(text)
	if lang != "zh" || r == nil {
		return text
	}
	if detail == "" {
		return r.ZH
	}
	return r.ZH + "：" + ReasonIn(lang, detail)
}
