# make mutate: which share of changed conditions, bounds and sums some test
# notices, in the packages that decide who comes in. Takes an hour; not part of
# make test. MUTATE names packages, or files of them:
#
#	make mutate MUTATE=internal/keys
#	make mutate MUTATE=internal/accounts/removal.go
#
# What each file's last run found is kept in build/mutate; make mutate-table
# prints the table of it again, and after new tests, make mutate-survivors tries
# only what no test noticed before.

MUTATE       ?=
MUTATE_LEAST ?= 90

.PHONY: mutate mutate-survivors mutate-table
mutate-survivors: MUTATE_FLAGS = -survivors
mutate mutate-survivors:
	@mkdir -p $(BUILD)/mutate
	$(GO) build -modfile=tools/go.mod -o $(BUILD)/gremlins github.com/go-gremlins/gremlins/cmd/gremlins
	$(GO) build -o $(BUILD)/mutate/mutate ./tests/mutate
	$(BUILD)/mutate/mutate -gremlins $(BUILD)/gremlins -out $(BUILD)/mutate -least $(MUTATE_LEAST) $(MUTATE_FLAGS) $(MUTATE)

mutate-table:
	$(GO) run ./tests/mutate -again -out $(BUILD)/mutate $(MUTATE)
