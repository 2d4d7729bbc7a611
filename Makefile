# Every target is a short name for a command that also works without make.
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## run the tests
	go test ./...

.PHONY: race
race: ## run the tests under the race detector
	go test -race ./...

.PHONY: lint
lint: ## check format, go vet and staticcheck
	.ci/run format vet lint

.PHONY: fuzz
fuzz: ## run every fuzz target for a few seconds
	.ci/run fuzz

.PHONY: demo
demo: ## kill and freeze replicas of a calculator under load
	go run ./examples/calc

.PHONY: bench
bench: ## run the benchmarks, each beside its baseline
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: speed
speed: ## compare rpcx with net/rpc, the server in a process of its own
	go run ./rpcx/internal/speed

.PHONY: peers
peers: ## compare rpcx with net/rpc, grpc-go, connect-go and others; FLAGS=-write for the documents
	cd rpcx/internal/peerbench && go run . $(FLAGS)

.PHONY: long
long: ## run whole programs under faults, and what else is too long for the gate
	.ci/run long

.PHONY: ci
ci: ## run the whole gate, as it must pass before a change goes in
	.ci/run
