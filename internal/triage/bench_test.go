package triage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store/storetest"
)

// large is what a scan of 10,000 pods reports: 2,000 workloads in 50 namespaces with 18 findings each of 90 rules, 300 images
// with 80 vulnerabilities each; 60,000 findings.
func large(changed int) look {
	var l look
	l.assets = append(l.assets, finding.Asset{Kind: "cluster", Name: "shop"})
	text := strings.Repeat("The container may write to the host's file system and so take over the node that it runs on. ", 3)
	for w := range 2000 {
		ns, name := fmt.Sprintf("team-%02d", w%50), fmt.Sprintf("service-%04d", w)
		image := finding.ImageRef{Reference: fmt.Sprintf("registry.example.com/team/app-%03d:1.4.%d", w%300, w%300), Digest: fmt.Sprintf("sha256:%064d", w%300)}
		l.assets = append(l.assets, deployment(ns, name, image))
		for i := range 18 {
			f := misconfigured(ns, name, fmt.Sprintf("rule-%02d", (w+i*5)%90), finding.Severities[i%5])
			f.Message.EN = fmt.Sprintf("Privileged container: container web: spec.template.spec.containers[0].securityContext.privileged is true in %s/%s", ns, name)
			f.Message.ZH = fmt.Sprintf("特权容器：容器 web：%s/%s 的 spec.template.spec.containers[0].securityContext.privileged 为 true", ns, name)
			f.Remediation.EN, f.Remediation.ZH = text, strings.Repeat("请在容器的安全上下文中关闭该设置，并重新部署工作负载。", 4)
			f.Compliance = []finding.ClauseRef{{Framework: "cis-1.10", Clause: "5.2.2"}, {Framework: "pss-baseline", Clause: "privileged-containers"}}
			if changed > 0 && (w*18+i)%changed == 0 {
				f.Evidence[0].Found = "changed"
			}
			l.found = append(l.found, f)
		}
	}
	for n := range 50 {
		l.assets = append(l.assets, finding.Asset{Kind: "namespace", Name: fmt.Sprintf("team-%02d", n)})
	}
	for i := range 300 {
		repo, tag, digest := fmt.Sprintf("registry.example.com/team/app-%03d", i), fmt.Sprintf("1.4.%d", i), fmt.Sprintf("sha256:%064d", i)
		l.assets = append(l.assets, imageAsset(repo+":"+tag, digest))
		for v := range 80 {
			k := (i*7 + v) % 2500
			f := vulnerable(repo, tag, digest, fmt.Sprintf("lib%03d", k%400), fmt.Sprintf("CVE-2026-%05d", k), finding.Severities[k%5])
			f.Title.EN = fmt.Sprintf("CVE-2026-%05d in lib%03d: a heap overflow lets attackers run code", k, k%400)
			f.Message.EN = fmt.Sprintf("lib%03d 1.0 has CVE-2026-%05d, fixed in 1.1", k%400, k)
			f.References = []string{fmt.Sprintf("https://security-tracker.example.com/CVE-2026-%05d", k), "https://nvd.example.com/vuln/detail"}
			f.Evidence = []finding.Evidence{{Path: "var/lib/dpkg/status", Found: fmt.Sprintf("lib%03d 1.0", k%400), Want: ">= 1.1"}}
			f.Vulnerability.PURL = fmt.Sprintf("pkg:deb/debian/lib%03d@1.0?distro=debian-12", k%400)
			if changed > 0 && (i*80+v)%changed == 0 {
				f.Vulnerability.FixedVersion = "1.2"
			}
			l.found = append(l.found, f)
		}
	}
	return l
}

func (x *fixture) bare(l look) ledger.Run {
	x.now = x.now.Add(time.Minute)
	run, err := x.play(l)
	if err != nil {
		x.t.Fatal(err)
	}
	return run
}

// BenchmarkIngest takes in the findings of a 10,000-pod scan: all new, unchanged, one in a hundred changed.
func BenchmarkIngest(b *testing.B) {
	first, other := large(0), large(100)
	rate := func(b *testing.B) {
		b.ReportMetric(float64(len(first.found)*b.N)/b.Elapsed().Seconds(), "findings/s")
	}
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			x := setUp(b, storetest.Open(b, kind))
			b.Run("new", func(b *testing.B) {
				for range b.N {
					b.StopTimer()
					x.target = x.cluster(fmt.Sprintf("c%d", x.number("SELECT count(*) FROM targets")))
					b.StartTimer()
					if run := x.bare(first); run.Added != len(first.found) {
						b.Fatal(run)
					}
				}
				rate(b)
			})
			b.Run("unchanged", func(b *testing.B) {
				for range b.N {
					if run := x.bare(first); run.Unchanged != len(first.found) {
						b.Fatal(run)
					}
				}
				rate(b)
			})
			b.Run("changed", func(b *testing.B) {
				for i := range b.N {
					l := other
					if i%2 == 1 {
						l = first
					}
					if run := x.bare(l); run.Changed != len(first.found)/100 {
						b.Fatal(run)
					}
				}
				rate(b)
			})
			b.Run("handled", func(b *testing.B) {
				var ids []int64
				if err := x.db.R.NewRaw("SELECT id FROM findings WHERE target_id = ?", x.target).Scan(context.Background(), &ids); err != nil {
					b.Fatal(err)
				}
				b.ResetTimer()
				for i := range b.N {
					h := Handling{IDs: ids, Action: []ledger.Action{ledger.Ignore, ledger.Unignore}[i%2]}
					err := x.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
						n, err := x.tr.Handle(ctx, tx, h)
						if n != len(ids) {
							b.Error(n)
						}
						return err
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				rate(b)
			})
		})
	}
}

// BenchmarkHash is the cost of telling that a finding is unchanged.
func BenchmarkHash(b *testing.B) {
	l := large(0)
	var h hasher
	for i := range b.N {
		h.content(l.found[i%len(l.found)], 1)
	}
}
