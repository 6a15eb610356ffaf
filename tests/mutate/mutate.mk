# make mutate: which share of changed conditions, bounds and sums some test
# notices, in the packages that decide who comes in. Takes an hour; not part of
# make test. MUTATE names packages: make mutate MUTATE=internal/keys

MUTATE       ?=
MUTATE_LEAST ?= 90

.PHONY: mutate
mutate:
	@mkdir -p $(BUILD)/mutate
	$(GO) build -modfile=tools/go.mod -o $(BUILD)/gremlins github.com/go-gremlins/gremlins/cmd/gremlins
	$(GO) build -o $(BUILD)/mutate/mutate ./tests/mutate
	$(BUILD)/mutate/mutate -gremlins $(BUILD)/gremlins -out $(BUILD)/mutate -least $(MUTATE_LEAST) $(MUTATE)
