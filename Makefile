# The commands of nss-iam. README.md names the two that matter: make demo, make
# test. HACKING.md says what each is for.

GO      ?= go
CC      ?= cc
BUILD   ?= build
VERSION ?= $(shell packaging/version)

PREFIX  ?= /usr
LIBDIR  ?= $(PREFIX)/lib/$(shell $(CC) -print-multiarch 2>/dev/null)
DESTDIR ?=

# Where the programs look at run time: compiled in, because neither the module
# nor the helpers read the environment.
CACHEDIR ?= /var/lib/nss-iam
SOCKET   ?= /run/nss-iam/cachefill.sock

# The same source gives the same bytes from any folder: no path of it, and nothing of
# the state of git, gets into a program.
GOFLAGS_STATIC = -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION) -X main.cacheDir=$(CACHEDIR) -X main.socketPath=$(SOCKET)"

.PHONY: build check test vm-test demo bench fuzz lint install deb rpm clean programs

build: $(BUILD)/libnss_iam.so.2 programs

# go build knows itself what is out of date, and links what it can side by side. Each
# compiler is asked to collect its garbage rarely, but in time, so that small machines
# build: see docs/dependencies.md. A folder's name is the program's, but for one.
programs: export GOGC ?= 200
programs: export GOMEMLIMIT ?= 250MiB
programs:
	@mkdir -p $(BUILD)
	CGO_ENABLED=0 $(GO) build $(GOFLAGS_STATIC) -o $(BUILD)/ ./cachefill ./authkeys ./authkeys/account ./tests/emulator/iam-emulator
	@ln -f $(BUILD)/cachefill $(BUILD)/iam-cachefill

include nss/build.mk
include packaging/packaging.mk
include tests/fleetsim/fleetsim.mk
include tests/mutate/mutate.mk

# The story begins on the first screen.
demo:
	@tests/demo/demo.sh --build $(MAKE) -s --no-print-directory -j2 build

# What can be known of a change in under a minute: no root, no network.
check:
	tests/check.sh

# Everything: what is missing from the machine is installed (root) or named.
test:
	tests/run.sh

# The last step of make test alone: kernels of their own, under emulation.
vm-test: build
	tests/setup.sh
	$(GO) test -count=1 -v -timeout 30m ./tests/vm

bench: build
	tests/setup.sh
	tests/setup.sh awscli
	tests/bench.sh

fuzz: nss-fuzz

lint: nss-lint
	tests/lint.sh

install: build install-system
	install -D -m 0644 $(BUILD)/libnss_iam.so.2 $(DESTDIR)$(LIBDIR)/libnss_iam.so.2
	install -D -m 0755 $(BUILD)/iam-cachefill $(DESTDIR)$(PREFIX)/sbin/iam-cachefill
	install -d -m 0755 $(DESTDIR)$(PREFIX)/bin && ln -sf ../sbin/iam-cachefill $(DESTDIR)$(PREFIX)/bin/nss-iam
	install -D -m 0755 $(BUILD)/authkeys $(DESTDIR)$(PREFIX)/libexec/nss-iam/authkeys
	install -D -m 0755 $(BUILD)/account $(DESTDIR)$(PREFIX)/libexec/nss-iam/account
	test -e $(DESTDIR)/etc/nss-iam/config.toml || install -D -m 0644 packaging/config.toml $(DESTDIR)/etc/nss-iam/config.toml
	test -n "$(DESTDIR)" || test -e /etc/nss-iam/environment || install -m 0600 packaging/environment /etc/nss-iam/environment
	install -d -m 0755 $(DESTDIR)$(CACHEDIR)

clean:
	rm -rf $(BUILD)
