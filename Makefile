# What CI runs is `make test`; before a release, `make test-all`. Every step says
# what it does, and steps whose folder is not there are passed over.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 1m
TESTFLAGS   := -race -shuffle=on -count=1 -timeout=10m -vet=off # make lint has vetted all

# The end-to-end tests have steps of their own.
UNIT = $(shell $(GO) list ./... | grep -v '/e2e')

# A server that a test needs and that is missing is a failure: `make servers` has
# installed it.
export SINEW_REQUIRE_SERVERS ?= 1

.PHONY: all servers browser node-packages consul lint fmt vet staticcheck test test-all unit unraced e2e e2e-all together outages-etcd outages-zookeeper outages-all crowd chaos rolling rolling-short soak dubbo purego benchmark-builds otel-builds otel connect-builds connect docs-page fuzz fuzz-smoke bench overload gateway-bench cover help

all: test

help:
	@echo "servers   installs ZooKeeper, etcd and Redis by apt-get, where they are missing"
	@echo "browser   installs Chromium by apt-get, where it is missing"
	@echo "node-packages  installs what e2e/jayson runs beside sinew, by npm"
	@echo "lint      gofmt, go vet, staticcheck"
	@echo "test      lint, unit tests with the race detector, core end-to-end tests"
	@echo "test-all  test, all end-to-end tests, fuzzing for some seconds per target"
	@echo "dubbo     dubbo-go calls sinew and is called by it"
	@echo "chaos     faults by SEED for DURATION, and whether every promise held; BUG=name puts one in"
	@echo "rolling   six providers replaced in turn, twice, under 500 callers"
	@echo "soak      half load and a replacement every minute, for DURATION (30m): does anything grow?"
	@echo "fuzz      every fuzz target for FUZZTIME (now $(FUZZTIME))"
	@echo "bench     the table against other frameworks, as Markdown"
	@echo "overload  what is left of each when five times too many calls come"
	@echo "gateway-bench  the gateway's JSON beside connect-go's, grpc-gateway's and net/http's"
	@echo "cover     statement coverage of all packages by all unit tests"

test: servers node-packages lint unit purego together
	@echo "== test: passed"

test-all: export SINEW_REQUIRE_CONSUL = 1
test-all: servers browser node-packages consul lint unit unraced purego benchmark-builds otel connect docs-page e2e-all outages-all crowd chaos rolling dubbo fuzz-smoke
	@echo "== test-all: passed"

servers:
	@e2e/scripts/install-servers

browser:
	@e2e/scripts/install-browser

node-packages:
	@e2e/scripts/install-node-packages

consul:
	@e2e/scripts/build-consul

lint: fmt vet staticcheck

fmt:
	@echo "== gofmt"
	@unformatted=$$(find . -name '*.go' -not -path '*/testdata/*' -not -path './.git/*' -exec gofmt -l {} +); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi

vet:
	@echo "== go vet"
	@$(GO) vet ./...

staticcheck:
	@echo "== staticcheck"
	@$(GO) run $(STATICCHECK) ./...

# Packages that start servers wait for them, so there are more at once than processors.
unit:
	@echo "== unit tests"
	@$(GO) test $(TESTFLAGS) -p=4 $(UNIT)

# What is another program under the race detector: bombs, whose memory limit leaves no
# room for its address space, the number of allocations, and the system calls of sessions.
unraced:
	@echo "== unit tests without the race detector"
	@$(GO) test -count=1 -vet=off -run='Bomb|Alloc' ./protocol ./client ./server ./gateway ./gateway/jsonrpc
	@$(GO) test -count=1 -vet=off -shuffle=on ./transport

# -short leaves the core: what needs no long outage and no large cluster.
e2e:
ifneq ($(wildcard e2e/*),)
	@echo "== end-to-end tests, the core"
	@$(GO) test $(TESTFLAGS) -short ./e2e/...
endif

e2e-all:
ifneq ($(wildcard e2e/*),)
	@echo "== end-to-end tests, all"
	@$(GO) test $(TESTFLAGS) -timeout=60m -v ./e2e/...
endif

# What waits for most of its time, and what other modules need compiled meanwhile.
together:
	@$(MAKE) --no-print-directory --jobs=4 chaos e2e outages-etcd outages-zookeeper unraced benchmark-builds otel-builds connect-builds

# Without the race detector: ZooKeeper's client has a race of its own, and the
# outages of providers allow an attempt 100 ms.
outages-etcd outages-zookeeper: outages-%:
	@echo "== outages of a real registry, $*"
	@$(GO) test -count=1 -short -timeout=10m -run='^TestRegistryOutages$$/(?i)^$*$$' ./e2e

outages-all:
	@echo "== outages of real registries and providers, the long ones too"
	@$(GO) test -count=1 -timeout=30m -v -run='TestRegistryOutages|TestAProviderThatGoesAndComesBack' ./e2e

# A deployment in processes of its own, hurt by a plan that SEED decides, for
# DURATION. Reports and plots are in out/chaos. BUG puts a bug in on purpose, which
# must be found.
SEED ?= 1

chaos: DURATION ?= 60s
chaos: servers
	@echo "== chaos for $(DURATION), seed $(SEED) $(BUG)"
	@$(GO) run ./e2e/chaos -seed $(SEED) -duration $(DURATION) $(if $(BUG),-bug $(BUG))

rolling: servers
	@echo "== a rolling restart under 500 callers"
	@$(GO) run ./e2e/chaos -plan rolling -callers 500

rolling-short: servers
	@echo "== a rolling restart under 100 callers"
	@$(GO) run ./e2e/chaos -plan rolling -callers 100

soak: DURATION ?= 30m
soak: servers
	@echo "== soak for $(DURATION), a provider replaced every minute"
	@$(GO) run ./e2e/chaos -plan soak -seed $(SEED) -duration $(DURATION)

# dubbo-go takes more than a minute of one core to compile, so this is not in test.
dubbo:
	@echo "== Dubbo, against dubbo-go and a real ZooKeeper"
	@cd e2e/dubbogo && $(GO) vet ./... && $(GO) test -count=1 -timeout=20m ./...

# A thousand providers and two hundred consumers on one machine: without the race
# detector, and with nothing else beside.
crowd:
	@echo "== a thousand providers, two hundred consumers"
	@$(GO) test -count=1 -timeout=60m -v -run=TestCrowd ./e2e

# The build without package unsafe, which calls methods by reflection alone.
purego:
ifneq ($(wildcard internal/endpoint/*.go),)
	@echo "== internal/endpoint with sinew_purego"
	@$(GO) vet -tags sinew_purego ./internal/endpoint ./transport
	@$(GO) test $(TESTFLAGS) -tags sinew_purego ./internal/endpoint
endif

benchmark-builds:
ifneq ($(wildcard benchmark/*.go benchmark/*/*.go benchmark/*/*/*.go),)
	@echo "== benchmark compiles"
	@cd benchmark && $(GO) vet ./...
endif

# OpenTelemetry is in a module of its own, and in nobody else's.
otel-builds:
	@echo "== e2e/otel compiles"
	@cd e2e/otel && $(GO) vet ./...

otel:
	@echo "== spans through OpenTelemetry to an OTLP receiver"
	@cd e2e/otel && $(GO) vet ./... && $(GO) test $(TESTFLAGS) ./...

# A module of its own: its dependencies are nobody else's.
connect-builds:
	@echo "== e2e/connect compiles"
	@cd e2e/connect && $(GO) vet ./...

connect:
	@echo "== the Connect protocol's own client against the gateway"
	@cd e2e/connect && $(GO) vet ./... && $(GO) test $(TESTFLAGS) ./...

docs-page:
	@echo "== the page of services in Chromium, and its document"
	@cd e2e/docs && $(GO) vet ./... && $(GO) test -count=1 -timeout=10m ./...

# One target after the other: go test fuzzes one at a time.
fuzz:
	@grep -rlE '^func Fuzz' --include='*_test.go' --exclude-dir=benchmark . | sort | while read -r file; do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$$file"); do \
			echo "== fuzz $$(dirname "$$file") $$target for $(FUZZTIME)"; \
			$(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
		done; \
	done

# By number: at the end of a time, go test may fail with "context deadline exceeded"
# (golang.org/issue/75804).
fuzz-smoke:
	@$(MAKE) --no-print-directory fuzz FUZZTIME=10000x

bench:
	@cd benchmark && $(GO) run ./cmd/bench -markdown

# OVERLOAD.md and overload.svg are what it found last.
overload:
	@cd benchmark && $(GO) run ./cmd/bench overload -markdown -plot overload.svg >OVERLOAD.tmp && mv OVERLOAD.tmp OVERLOAD.md

# GATEWAY.md is what it found last.
gateway-bench:
	@cd benchmark && $(GO) run ./cmd/bench gateway -markdown >GATEWAY.tmp && mv GATEWAY.tmp GATEWAY.md

cover:
	@mkdir -p out
	@$(GO) test -count=1 -coverpkg=./... -coverprofile=out/cover.out $(UNIT)
	@$(GO) tool cover -func=out/cover.out | tail -n 1
	@echo "by line: go tool cover -html=out/cover.out"
