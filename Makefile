# Targets for people. Go is all that build, demo and test need.

GO      ?= go
BIN     := bin
BINARIES := cax ruciax massive-ruciax massive-tsm
LDFLAGS := -s -w

# The race detector needs a C compiler; without one the tests run without it.
RACE := $(shell command -v cc >/dev/null 2>&1 && echo -race)

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
DEADCODE    := golang.org/x/tools/cmd/deadcode@v0.52.0

.PHONY: help build demo test integration check fuzz soak bench clean

help:
	@echo 'make build        the binaries, in $(BIN)/'
	@echo 'make demo         two sites, one run, copies that are verified, one that is damaged'
	@echo 'make test         the tests that need nothing but Go'
	@echo 'make integration  all tests, against real servers; installs what is missing (root, Debian)'
	@echo 'make check        format, vet, staticcheck, dead code, docs, go.mod'
	@echo 'make fuzz         each fuzz target for FUZZTIME (30s)'
	@echo 'make soak         the random tests for longer (SOAK=10 times)'
	@echo 'make bench        cax beside scp, rsync and rclone; writes bench-out/'

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ $(addprefix ./cmd/,$(BINARIES))

demo: build
	$(GO) run ./cmd/internal/demo -cax $(BIN)/cax

test:
	$(GO) vet ./...
	$(GO) test $(RACE) -timeout 8m ./...

integration:
	.ci/integration

check:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run gofmt -w on these'; exit 1; }
	$(GO) vet ./...
	$(GO) mod tidy -diff
	$(GO) run $(STATICCHECK) ./...
	@dead=$$($(GO) run $(DEADCODE) -test ./...) || exit 1; test -z "$$dead" || { echo "$$dead"; exit 1; }
	$(GO) test ./cmd/internal/house

FUZZTIME ?= 30s
fuzz:
	@set -e; for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$p; \
		done; done

SOAK ?= 10
soak:
	CAX_MODEL=$(SOAK)0000 $(GO) test -timeout 0 -run '^TestModel$$' ./cax
	CAX_INTEGRATION=1 $(GO) test $(RACE) -timeout 0 -count $(SOAK) ./cax ./transfer ./rundb/...

bench: build
	$(GO) test -timeout 0 -v ./cmd/internal/bench -compare -cax $(CURDIR)/$(BIN)/cax -out $(CURDIR)/bench-out

clean:
	rm -rf $(BIN) bench-out
