#!/bin/sh
# Scans the demo shop, or the cluster of $KUBECONFIG when that is set. Prints what is critical and high, and writes all of
# it to stockade-report.html in the current folder. `make run` calls it when bin/stockade is built.
#
# STOCKADE names another program to run. The exit code is that of the scan, but 3 ("some of it could not be read", which
# is told here) counts as success.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
stockade=${STOCKADE:-$here/../bin/stockade}
report=stockade-report.html

case ${LC_ALL:-${LC_MESSAGES:-${LANG:-}}} in
zh*) chinese=yes ;;
*) chinese=no ;;
esac

# say ENGLISH CHINESE
say() {
	if [ $chinese = yes ]; then shift; fi
	printf '%s\n' "$1"
}

if [ ! -x "$stockade" ]; then
	say "$stockade is not there: run make build first, or make run, which does both." \
		"找不到 $stockade：请先执行 make build，或直接执行 make run（会自动构建）。" >&2
	exit 2
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/stockade-run.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP

if [ -n "${KUBECONFIG:-}" ]; then
	say "Scanning the cluster of KUBECONFIG ($KUBECONFIG). Nothing in it is changed." \
		"正在扫描 KUBECONFIG（$KUBECONFIG）指向的集群，不会修改集群中的任何内容。"
	set --
else
	say "Scanning the demo shop ($here/shop)." "正在扫描演示商城（$here/shop）。"
	# The images of the demo are inventories that were saved: no registry is asked.
	# The sample of advisories that make built is for them alone; a cluster of yours wants a database of yours.
	set -- --snapshot "$here/shop" --offline --inventory "$here/inventories"
	if [ -z "${STOCKADE_DB:-}" ] && [ -f "$here/../bin/db/match.db" ]; then
		set -- "$@" --db "$here/../bin/db"
	fi
fi

code=0
"$stockade" scan cluster "$@" --framework cis-1.12,pss-baseline,nsa,mlps-2.0 \
	-o "html=$report" -o "jsonl=$dir/all.jsonl" || code=$?
case $code in
0 | 3) ;;
*) exit "$code" ;;
esac

# A line of jsonl is a record, and a finding has one severity: the table gets the worst, the report has them all.
count() { grep -c "\"severity\":\"$1\"" "$dir/all.jsonl" || true; }
grep -v -e '"severity":"medium"' -e '"severity":"low"' -e '"severity":"info"' "$dir/all.jsonl" >"$dir/worst.jsonl" || true
"$stockade" report "$dir/worst.jsonl" -o table

echo
say "Above is what is critical and high. There are also $(count medium) medium, $(count low) low and $(count info) informational findings:" \
	"以上为严重和高危风险项。另有中危 $(count medium) 项、低危 $(count low) 项、提示 $(count info) 项，完整报告（可筛选，支持中英文切换）："
echo "    file://$(pwd)/$report"
if [ $code = 3 ]; then
	say "Some things could not be read, so nothing is known about them: see \"not scanned\" (exit code 3 of stockade)." \
		"有部分内容无法读取，其安全状况未知：详见“未扫描”部分（stockade 的退出码为 3）。"
fi
echo
say "To try next:" "接下来可以试试："
say "    bin/stockade rule show escape/runtime-socket                       why it matters, and the fix" \
	"    bin/stockade rule show escape/runtime-socket --lang zh             查看某条规则的危害和修复方法"
say "    bin/stockade scan cluster --snapshot demo/shop --only access       who may do what" \
	"    bin/stockade scan cluster --snapshot demo/shop --only access       只看权限问题"
say "    bin/stockade db where CVE-2021-44228 --inventory demo/inventories --db bin/db    what has Log4Shell" \
	"    bin/stockade db where CVE-2021-44228 --inventory demo/inventories --db bin/db    哪些镜像存在 Log4Shell"
say "    bin/stockade scan iac demo/iac                                     a Dockerfile, a chart, a kustomization" \
	"    bin/stockade scan iac demo/iac                                     扫描 Dockerfile、Helm chart 和 Kustomize 配置"
say "    KUBECONFIG=~/.kube/config make run                                 your own cluster" \
	"    KUBECONFIG=~/.kube/config make run                                 扫描自己的集群"
