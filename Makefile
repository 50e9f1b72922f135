# Everything a developer or a user runs. `make help` lists it.
# The version is stamped by LDFLAGS; git need not be asked by every build. -trimpath is part of the build cache's keys.
export GOFLAGS := -trimpath -buildvcs=false
export CGO_ENABLED := 0

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  := $(shell git rev-parse --short HEAD 2>/dev/null)
DATE    := $(shell git log -1 --format=%cs 2>/dev/null)
LDFLAGS := -s -w -X main.release=$(VERSION) -X main.commit=$(COMMIT) -X main.built=$(DATE)
# Packages where goroutines meet; the race detector needs cgo and a compile of its own.
DB      := bin/db
RACE    := ./internal/scan ./internal/rule ./internal/collect ./internal/collect/cluster ./internal/collect/snapshot \
	./internal/collect/manifest ./internal/collect/decode ./internal/analyze ./internal/report ./internal/collect/image/... \
	./internal/match ./internal/database/... ./internal/feed \
	./internal/store ./internal/triage ./internal/exception ./internal/identity ./internal/fleet/... ./internal/live ./internal/leader \
	./internal/job ./internal/task ./internal/notify/... ./internal/server ./internal/api/... ./internal/watch \
	./internal/anatomy ./internal/exhibit ./internal/intake ./internal/registries ./internal/vitals ./internal/attack \
	./internal/policy/... ./internal/preview ./internal/verdict ./internal/signature ./internal/provider/... ./internal/protect ./internal/admission \
	./internal/agent/... ./internal/nodes ./internal/urgent ./internal/emergency/... ./internal/collect/node/...

CONSOLE := $(shell find console/src console/public console/index.html console/package-lock.json console/vite.config.ts -type f 2>/dev/null) internal/api/openapi.yaml

# Gatekeeper as `stockade protect` installs it: its manifests, from its Go module.
PLUGIN  := internal/protect/plugin/gatekeeper.yaml

.PHONY: help build console db run test check stories bench e2e lab deps fuzz clean

help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /  \1\t/' | expand -t 12

build: console $(PLUGIN) ## build bin/stockade with the console in it
	go build -ldflags '$(LDFLAGS)' -o bin/stockade ./cmd/stockade

$(PLUGIN): go.mod
	@go mod download github.com/open-policy-agent/gatekeeper/v3
	@dir=$$(go list -m -f '{{.Dir}}' github.com/open-policy-agent/gatekeeper/v3) && \
	install -m 644 "$$dir/LICENSE" internal/protect/plugin/LICENSE && install -m 644 "$$dir/deploy/gatekeeper.yaml" $@ && touch $@

console: console/dist/app/index.html ## build the web console (needs Node 20)

console/dist/app/index.html: $(CONSOLE) console/node_modules/.package-lock.json
	cd console && npm run --silent build >../bin/console.log 2>&1 || { cat ../bin/console.log; exit 1; }

console/node_modules/.package-lock.json: console/package-lock.json
	@mkdir -p bin; command -v npm >/dev/null || { echo "Node 20 with npm is needed to build the console: install it, or run go build for a program without one"; exit 1; }
	cd console && npm ci --no-audit --no-fund --prefer-offline >../bin/npm.log 2>&1 || { cat ../bin/npm.log; exit 1; }
	@touch $@

db: build ## build the demo's advisory database from testdata/feeds
	@test -f $(DB)/match.db -a $(DB)/match.db -nt testdata/feeds/README.md || \
	bin/stockade db build --feeds testdata/feeds -o $(DB) >bin/db.log 2>&1 || test $$? = 3 || { cat bin/db.log; exit 1; }

run: db ## start the server with the demo shop, or the cluster of $KUBECONFIG, scanned; prints the set-up link
	@sh demo/run.sh

# A room is tested once: with the race detector where it is in RACE.
test: deps lab build ## everything: rule cases, unit tests, race detector, real API servers, the console in a browser
	go vet ./...
	go test -p 3 -timeout 30m $$( (go list ./...; go list $(RACE)) | sort | uniq -u)
	CGO_ENABLED=1 go test -race -p 2 -timeout 20m $(RACE)
	$(MAKE) stories

stories: deps db ## the console: logic, and stories in a real browser against the real server; pictures in console/stories/out
	cd console && npm run --silent lint && npm test --silent && npm run --silent stories

check: console $(PLUGIN) ## the quick part of test: no API server, no race detector, no browser
	go vet ./...
	go test -p 2 $$(go list ./... | grep -v /e2e)
	cd console && npx tsc --noEmit && npm test --silent

lab: ## build etcd and the API servers for the end-to-end tests (cached)
	go run ./e2e/lab/cmd/labbuild

deps: ## install what the tests need beside Go: a browser for the HTML report; debootstrap, rpm, ClamAV and a registry for images; PostgreSQL; containerd, runc, CNI and nftables for a node
	@want=; has() { command -v "$$1" >/dev/null || [ -x "/usr/sbin/$$1" ] || want="$$want $$2"; }; \
	has chromium "chromium fonts-noto-cjk"; has debootstrap debootstrap; has rpmbuild rpm; has clamd clamav-daemon; has docker-registry docker-registry; \
	has containerd containerd; has runc runc; has nft nftables; has iptables iptables; has ip iproute2; [ -x /usr/lib/cni/bridge ] || want="$$want containernetworking-plugins"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || want="$$want postgresql"; \
	[ -z "$$want" ] || { echo "installing$$want for the tests"; \
	SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); $$SUDO apt-get update -qq && \
	$$SUDO apt-get install -y -qq --no-install-recommends $$want >/dev/null; }

e2e: deps lab console $(PLUGIN) ## only the end-to-end stories against real API servers
	go test -timeout 30m ./e2e/...

bench: build ## measure, and write bench/RESULTS.md
	go run ./bench -stockade bin/stockade -write bench/RESULTS.md

fuzz: ## a minute of fuzzing on every parser of foreign bytes
	@sh -c 'set -e; for f in $$(grep -rlE "^func Fuzz" --include=*_test.go . ); do d=$$(dirname $$f); \
	for n in $$(grep -ohE "^func Fuzz[A-Za-z0-9]+" $$f | cut -c6-); do echo "$$d $$n"; go test $$d -run=^$$ -fuzz="^$$n$$" -fuzztime=60s; done; done'

clean: ## remove what was built
	rm -rf bin stockade-report.html stockade-data console/dist/app console/node_modules
