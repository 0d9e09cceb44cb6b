# Convene: `make run` starts it for development, `make test` checks everything. Both install what is missing first.
# SHORT=1 makes fuzz, bench and soak finish in CI time; `make test` sets it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

CARGO := cargo
# One profile for everything, so that a cold machine compiles each dependency once.
PROFILE := --release --locked
BINARY := target/release/convene
# What `make build` compiles. One scope for all of `make test`: cargo picks features of shared dependencies by scope, and
# another scope compiles them once more.
BUILD_SCOPE ?= -p convene-server --bin convene
EVERYTHING := --workspace --all-targets
UI := crates/web/ui
# What is generated into src/ is no source.
UI_SOURCES := $(shell find $(UI)/src $(UI)/public -type f ! -name '*.gen.ts' 2>/dev/null) \
  $(addprefix $(UI)/,index.html package.json vite.config.ts tsconfig.json scripts/wire.mjs) crates/proto/proto/im.proto
VENV := tests/.venv
PYTHON := $(VENV)/bin/python
DENY := target/tools/bin/cargo-deny
DENY_VERSION := 0.20.2
PROMETHEUS := target/tools/prometheus
COTURN := target/tools/coturn
GSTREAMER := target/tools/gstreamer

FUZZ_SECONDS ?= 60
SOAK_JOINS ?= $(if $(SHORT),200,5000)
SOAK_SEEDS ?= $(if $(SHORT),300,10000)
SOAK_SECONDS ?= $(if $(SHORT),20,3600)
SOAK_RECONNECTS ?= $(if $(SHORT),16,1000)
BENCH_ARGS ?= $(if $(SHORT),--short)
CHAT_BENCH_ARGS ?= $(if $(SHORT),--short)
API_BENCH_ARGS ?= $(if $(SHORT),--short)
# Arguments of the server: make run ARGS="--port-base 9000"
ARGS ?=
# Arguments of pytest: make e2e PYTEST_ARGS="-k whip"
PYTEST_ARGS ?=

.PHONY: help
help: ## Say what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: run
run: build ## Start the server for development: http://localhost:7880
	@exec $(BINARY) serve --dev $(ARGS)

.PHONY: build
build: ui need-build ## Build the release binary with the web client in it
	$(CARGO) build $(PROFILE) $(BUILD_SCOPE)

.PHONY: ui
ui: $(UI)/dist/index.html ## Build the web client

.PHONY: test
test: need-build ## Everything that CI checks: lint, unit tests, real clients, fuzz, soak and bench in their short forms
	$(CARGO) fmt --all --check
	@$(MAKE) --no-print-directory clients & clients=$$!; status=0; \
	  $(MAKE) --no-print-directory build BUILD_SCOPE="$(EVERYTHING)" || status=$$?; wait $$clients; exit $$status
	@$(MAKE) --no-print-directory bench SHORT=1
	@$(MAKE) --no-print-directory unit
	@CONVENE_TEST_BESIDE='make -C ../.. --no-print-directory lint' \
	  $(MAKE) --no-print-directory e2e SHORT=1 BUILD_SCOPE="$(EVERYTHING)"

.PHONY: unit
unit: ui need-build ## Unit tests, of the web client too, and the tidy test
	cd $(UI) && npm run --silent test
	$(CARGO) test $(PROFILE) --workspace

# Minutes of waiting for others' servers where nothing is there yet: `make test` compiles meanwhile.
.PHONY: clients
clients: need-e2e $(VENV)/.installed $(PROMETHEUS) $(COTURN) $(GSTREAMER) ## Install the clients of others that the tests use

.PHONY: e2e
e2e: build clients ## Calls and chat with clients of others; network faults; restarts, kill -9, churn
	cd tests/e2e && CONVENE_TEST_CHURN=$(if $(SHORT),150,$(SOAK_JOINS)) CONVENE_TEST_KILLS=$(if $(SHORT),10,50) \
	  CONVENE_TEST_CROWD=$(if $(SHORT),500,2000) ./run.sh $(PYTEST_ARGS)

.PHONY: lint
lint: ui need-build ## Formatting, clippy with warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(PROFILE) --workspace --all-targets -- -D warnings

# Its licences, bans and sources are in `make unit` as well (tests/it/dependencies.rs): a cold machine builds cargo-deny for
# minutes, and its advisories need a network that CI may lack.
.PHONY: audit
audit: $(DENY) ## Dependencies: advisories, licences, bans, duplicates, by cargo-deny
	tools/deny $(DENY)

.PHONY: bench
bench: ## Packets and durable messages a second a core, beside the limits of the machine
	@$(MAKE) --no-print-directory build BUILD_SCOPE="$(EVERYTHING)"
	target/release/sfu $(BENCH_ARGS)
	target/release/chat $(CHAT_BENCH_ARGS)
	target/release/api $(API_BENCH_ARGS)

.PHONY: bench-peers
bench-peers: ## The same calls on Convene, Janus and mediasoup, the same chat on Convene and on Prosody, side by side
	@$(MAKE) --no-print-directory build BUILD_SCOPE="$(EVERYTHING)"
	@bench/peers/need.sh janus iproute2
	@bench/peers/need.sh prosody lua-dbi-sqlite3
	@bench/peers/mediasoup/need.sh
	bench/peers/in-namespace.sh target/release/media-peers --ip 10.78.0.1 $(MEDIA_PEERS_ARGS)
	target/release/peers

.PHONY: fuzz
fuzz: need-build ## Every parser under libFuzzer, FUZZ_SECONDS each (make unit mutates the corpus for a moment)
	@tools/need c++
	tests/fuzz/run.sh $(FUZZ_SECONDS)

.PHONY: soak
soak: build need-e2e $(VENV)/.installed $(GSTREAMER) ## An hour of visits of every kind, 1,000 reconnects of each kind, SOAK_JOINS abrupt leaves, SOAK_SEEDS runs of the chat simulator
	CONVENE_TEST_SEEDS=$(SOAK_SEEDS) $(CARGO) test $(PROFILE) -p convene-sim --test seeds all_invariants -- --nocapture
	cd tests/e2e && CONVENE_TEST_CHURN=$(SOAK_JOINS) CONVENE_TEST_RECONNECTS=$(SOAK_RECONNECTS) CONVENE_TEST_SOAK_S=$(SOAK_SECONDS) \
	  ../.venv/bin/python -m pytest -s test_churn.py test_reconnects.py test_soak.py $(PYTEST_ARGS)

# Not in CI: 80 MB to fetch and half a minute for a browser that changes every four weeks.
.PHONY: browsers
browsers: build need-e2e $(VENV)/.installed ## A call of two Firefoxes and a Chromium; installs Debian's Firefox (80 MB)
	@tools/need firefox
	cd tests/e2e && CONVENE_TEST_FIREFOX=1 ../.venv/bin/python -m pytest test_firefox.py $(PYTEST_ARGS)

.PHONY: network
network: build need-e2e $(VENV)/.installed ## Bad networks, judged by Chromium; writes docs/network.md. Wants a quiet machine and a quarter of an hour
	cd tests/e2e && CONVENE_TEST_TABLE=../../docs/network.md ../.venv/bin/python -m pytest test_network_table.py $(PYTEST_ARGS)

.PHONY: clean
clean: ## Remove everything that was built or installed here
	rm -rf target tests/fuzz/target $(UI)/dist $(UI)/node_modules $(VENV)

# What has to be there. Each is quick when nothing is missing.

.PHONY: need-build need-e2e
need-build:
	@tools/need cargo cc cmake
need-e2e:
	@tools/need chromium curl ip python3 venv

$(UI)/node_modules/.package-lock.json: $(UI)/package-lock.json
	@tools/need node
	cd $(UI) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(UI)/dist/index.html: $(UI)/node_modules/.package-lock.json $(UI_SOURCES)
	cd $(UI) && npm run --silent build
	@touch $@

# A pip of its own: that of Debian and of Python 3.11 takes three times as long to find out what goes with what. Bytecode is
# made of what is imported.
$(VENV)/.installed: tests/requirements.txt
	@tools/need python3 venv
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check pip==26.3
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-compile -r tests/requirements.txt
	@touch $@

$(PROMETHEUS) $(COTURN):
	@tools/unpack $@ $(notdir $@)
# All plugins of `bad` would need a hundred libraries more; `webrtcbin` is one of those that do not.
$(GSTREAMER):
	@tools/unpack $@ python3-gi libgstreamer1.0-0 libsrtp2-1 gstreamer1.0-nice gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
	  -- gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-plugins-bad \
  libgstreamer-plugins-bad1.0-0

# Not optimised: it runs for a second, and a cold machine has to build it. A directory of its own, because its profile is.
$(DENY):
	@tools/need cargo cc cmake
	CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_LTO=off \
	  CARGO_TARGET_DIR=target/tools/build $(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --root target/tools
	rm -rf target/tools/build
