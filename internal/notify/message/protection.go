package message

import (
	"fmt"
	"strconv"

	"stockade.dev/stockade/internal/finding"
)

// Door is what happened at the door of a cluster, in numbers.
type Door struct {
	Cluster  string
	Groups   int
	Requests int64
	Bad      int          // of unchecked admissions: those that violate a policy
	Digest   bool         // groups that were told of before
	First    finding.Text // title of the worst
	Where    string       // of the worst: "shop / Deployment till"
}

// Protection gives the title and text of what happened at the door: topics protection.blocked, protection.unchecked and
// protection.turned.
func Protection(topic string, d Door) (title, text finding.Text) {
	requests := "1 request"
	if d.Requests != 1 {
		requests = strconv.FormatInt(d.Requests, 10) + " requests"
	}
	switch topic {
	case "protection.unchecked":
		title = finding.Text{EN: requests + " let in unchecked", ZH: fmt.Sprintf("%d 个请求未经检查即放行", d.Requests)}
		if d.Bad > 0 {
			title.EN += fmt.Sprintf(", %d violate policies", d.Bad)
			title.ZH += fmt.Sprintf(",其中 %d 个违反策略", d.Bad)
		}
	case "protection.turned":
		images := "1 use of an image"
		if d.Groups != 1 {
			images = strconv.Itoa(d.Groups) + " uses of images"
		}
		title = finding.Text{EN: images + " let in, which turned out to be bad", ZH: fmt.Sprintf("%d 处已放行的镜像后来发现存在风险", d.Groups)}
	default:
		title = finding.Text{EN: requests + " blocked", ZH: fmt.Sprintf("已拦截 %d 个请求", d.Requests)}
		if d.Digest {
			title.EN, title.ZH = requests+" more blocked", fmt.Sprintf("又拦截 %d 个请求", d.Requests)
		}
	}
	if d.Cluster != "" {
		title = finding.Text{EN: d.Cluster + ": " + title.EN, ZH: d.Cluster + ":" + title.ZH}
	}
	text = d.First
	if d.Where != "" {
		text = finding.Text{EN: text.EN + " (" + d.Where + ")", ZH: text.ZH + "(" + d.Where + ")"}
	}
	if n := d.Groups - 1; n > 0 {
		text.EN, text.ZH = text.EN+" "+More(n, "en"), text.ZH+" "+More(n, "zh")
	}
	return title, text
}
