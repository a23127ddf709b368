# Stepgate. `make test` runs everything; `make lint` what must be clean before it.
GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS      = -X github.com/caddyserver/caddy/v2.CustomVersion=stepgate-$(VERSION)

.PHONY: build test routers lint bench deps fuzz

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/stepgate ./cmd/stepgate

# What the tests need beside Go: a Chromium, axe-core for accessibility, PostgreSQL,
# the routers that the gateway is compared with, and Vonage's own client.
deps:
	@sh testdata/deps.sh

test: deps
	$(GO) test -race -count=1 -timeout 25m ./...

# The comparison with real routers at full length, with its figures. `make test` has
# a short form.
routers: deps
	STEPGATE_LONG=1 $(GO) test -v -count=1 -timeout 10m -run 'RealRouter|ByteForByte' ./e2e/routers

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./policy ./identity ./internal/grant ./internal/seal ./internal/body ./internal/gate ./internal/account ./store/bolt ./store/postgres
	$(GO) run ./bench

# A minute for each fuzz target.
fuzz:
	@for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -rho --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' $$dir | sed 's/func //' | sort -u); do \
			echo "$$dir $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime 60s $$dir || exit 1; \
		done; \
	done
