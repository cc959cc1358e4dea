# Everything that a user, a developer and CI run.
#
#   make demo    install what is missing, build, start Neargate, run the story on real containers, leave it running
#   make stop    end what the demo left running
#   make test    install what the tests need, run all of them
#   make bench   measure, beside the peers that can be had from registries
#   make fmt     format

.PHONY: demo stop build test check unit e2e bench fmt

demo: build
	scripts/demo

stop:
	scripts/demo stop

build:
	scripts/install build
	cargo build --release --locked --package neargate --package neargate-load --package xtask

test:
	scripts/install test
	$(MAKE) check unit e2e

# What needs no machine: format, lints, documentation, generated files.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --locked --quiet

unit:
	cargo test --workspace --locked

e2e:
	cargo build --workspace --exclude neargate-fuzz --bins --tests --locked
	scripts/e2e

bench:
	scripts/install bench
	cargo build --release --locked --package neargate --package xtask
	scripts/bench

fmt:
	cargo fmt --all
