# Each target stands alone: it installs what it needs, does only what is missing, and says so.
# `make help` lists them. Where things are kept: tools/env.sh; versions: tools/versions.env.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export STATIC PORT DATA RELAXED HITL_WASM

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-13s %s\n' "$$name" "$$text"; done

.PHONY: demo
demo: dist ## Build all and serve the demo; STATIC=1: from a plain file server; PORT=9000; DATA=dir
	@tools/demo.sh

.PHONY: test
test: ## Format, clippy, native tests, browser tests, end-to-end tests
	@tools/setup.sh test
	@tools/test.sh

.PHONY: dist
dist: ## Build dist/: the demo and the npm package; RELAXED=0: no second Worker
	@tools/setup.sh demo
	@tools/dist.sh

.PHONY: sizes
sizes: dist ## What a browser downloads, as JSON lines; fails over a target
	@tools/sizes dist

.PHONY: bench
bench: ## Measure against onnxruntime-web, as JSON lines; ARGS="latency fashion_cnn": bench/README.md
	@tools/bench.sh $(ARGS)

.PHONY: load
load: ## Measure the collector under load, as JSON lines; ARGS="fleet records=10000": docs/scale.md
	@tools/load.sh $(ARGS)

.PHONY: eval
eval: ## Measure the learning and its promise, as JSON lines; ARGS="digits seeds=9": docs/eval.md
	@tools/eval.sh $(ARGS)

.PHONY: fault
fault: ## Put delivery through faults, as JSON lines; ARGS="storm seeds=2": tests/fault/README.md
	@tools/fault.sh $(ARGS)

.PHONY: test-backends
test-backends: dist ## Presets against real servers from npm, PyPI and Debian; ARGS="rabbitmq datasette"
	@tools/setup.sh test
	@tools/test-backends.sh $(ARGS)
