# Every target is also a plain command: see its line. `make setup` installs what the others need.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-samples bench soak lint generate deploy promises image test-image

ONLY ?=
DATA ?=
QUICK ?=
KILLS ?= 20
KEEP ?=
ARCHITECTURES ?= amd64 arm64

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## Installs the servers that tests and demo need (Debian, as root), once
	@cargo run --quiet --package bed -- setup

demo: setup ## The main job on real servers, from nothing to the outcome; KEEP=1 leaves it running
	cargo build --package oubliette --package bed
	KEEP=$(KEEP) target/debug/bed run --only postgres15,mariadb,cluster -- examples/quickstart/demo.sh

test: setup ## All tests, on real servers; ONLY=NAME for the cases of that name
ifeq ($(ONLY),)
	cargo test --workspace --no-fail-fast
else
	cargo test --test suite -- $(ONLY)
endif

test-samples: setup ## Cases on published sample databases (Chinook, Sakila) in the folder DATA=…
	@test -d "$(DATA)" || { echo "DATA=… must name the folder of the sample databases; the README says where they are published" >&2; exit 1; }
	OUBLIETTE_SAMPLES="$(abspath $(DATA))" cargo test --test suite -- samples::

bench: setup ## Measures against other ways of doing it and writes docs/benchmarks.md; QUICK=1 with small tables, ONLY=mariadb on one server; DATA=… as for test-samples plans Sakila, too
	QUICK=$(QUICK) ONLY="$(ONLY)" $(if $(DATA),OUBLIETTE_SAMPLES="$(abspath $(DATA))") tests/bench/run

soak: setup ## The interruption cases with KILLS=20 kills each instead of 3
	OUBLIETTE_SOAK_KILLS=$(KILLS) cargo test --test suite -- interruption::

lint: ## What CI checks before the tests
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

generate: ## Writes the files that the program makes: CRDs, parts of the chart and docs
	cargo run --quiet -- generate

# Apart from `generate`, because it needs helm.
deploy: ## Writes deploy/oubliette.yaml, which a case of the suite compares, from the chart
	@cargo run --quiet --package bed -- setup --only tools
	OUBLIETTE_WRITE_DEPLOY=1 cargo test --quiet --test suite -- packaged::the_raw_manifests

# Apart from `generate` too, because it needs the servers: a promise stands there when its cases have passed.
promises: setup ## Writes docs/promises.md and the READMEs of examples/notices, which a case compares, from the cases that pass
	OUBLIETTE_WRITE_PROMISES=1 cargo test --test suite -- notices::

image: ## The image, as an OCI layout in target/image/oci; needs buildah and Python
	deploy/image/compile $(ARCHITECTURES)
	deploy/image/assemble $(ARCHITECTURES)

test-image: setup ## What `make image` built: what is in it, and its program at work alone in it
	OUBLIETTE_IMAGE="$(abspath target/image/oci)" cargo test --test suite -- image::
