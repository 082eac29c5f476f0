# Every target is also a plain command: see its line. `make setup` installs what the others need.
.DEFAULT_GOAL := help
.PHONY: help setup test lint generate

ONLY ?=

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## Installs the servers that tests and demo need (Debian, as root), once
	@cargo run --quiet --package bed -- setup

test: setup ## All tests, on real servers; ONLY=NAME for the cases of that name
ifeq ($(ONLY),)
	cargo test --workspace
else
	cargo test --test suite -- $(ONLY)
endif

lint: ## What CI checks before the tests
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

generate: ## Writes the files that the program makes: CRDs, parts of the chart and docs
	cargo run --quiet -- generate
