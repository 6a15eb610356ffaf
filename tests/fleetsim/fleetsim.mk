# make fleet-sim: docs/scale.md and docs/scale.svg, from the model of a fleet.

.PHONY: fleet-sim
fleet-sim:
	$(GO) run ./tests/fleetsim -out docs
