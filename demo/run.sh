#!/bin/sh
# Starts the server on SQLite, registers the demo shop, or the cluster of $KUBECONFIG when that is set, has it scanned, and prints
# the set-up link. `make run` calls it when bin/stockade is built. Ctrl-C stops it; what it knows stays in stockade-data.
#
# STOCKADE names another program to run, STOCKADE_DATA another folder, STOCKADE_LISTEN another address.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
stockade=${STOCKADE:-$here/../bin/stockade}
data=${STOCKADE_DATA:-stockade-data}
listen=${STOCKADE_LISTEN:-127.0.0.1:8443}

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

if [ -n "${KUBECONFIG:-}" ]; then
	say "The cluster of KUBECONFIG ($KUBECONFIG) is added and scanned. Nothing in it is changed." \
		"将接入并扫描 KUBECONFIG（$KUBECONFIG）指向的集群，不会修改集群中的任何内容。"
	set -- --register-kubeconfig "$KUBECONFIG" --allow-local-clusters
else
	say "The demo shop ($here/shop) is added and scanned." "将接入并扫描演示商城（$here/shop）。"
	# The images of the demo are inventories that were saved: no registry is asked.
	# The sample of advisories that make built is for them alone; a cluster of yours wants a database of yours.
	set -- --register-snapshot "$here/shop" --inventory "$here/inventories"
	if [ -z "${STOCKADE_DB:-}" ] && [ -f "$here/../bin/db/match.db" ]; then
		set -- "$@" --db "$here/../bin/db"
	fi
fi

say "The server listens on $listen for this machine alone; its data is in $data. Stop it with Ctrl-C." \
	"服务器仅在本机监听 $listen，数据保存在 $data，按 Ctrl-C 停止。"
say "To try next, in another terminal, once you have signed in as it says below:" "按下方提示登录后，可在另一个终端中尝试："
say "    bin/stockade task list                                  what is being scanned" \
	"    bin/stockade task list                                  查看扫描任务"
say "    bin/stockade finding list --severity critical           the worst first" \
	"    bin/stockade finding list --severity critical           查看严重风险项"
say "    bin/stockade scan iac --server demo/iac                 have a folder scanned there" \
	"    bin/stockade scan iac --server demo/iac                 上传目录并在服务器上扫描"
say "    bin/stockade scan cluster --snapshot demo/shop -o html=stockade-report.html    without a server" \
	"    bin/stockade scan cluster --snapshot demo/shop -o html=stockade-report.html    不使用服务器直接扫描"
echo
exec "$stockade" server --data "$data" --listen "$listen" "$@"
