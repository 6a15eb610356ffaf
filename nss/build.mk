# build.mk - the rules of nss/, included by the top Makefile
#
# The module is compiled by cgo and linked without the Go runtime: the link
# starts from the entry points and takes from the archive what they need. The
# archive is the package's own, out of the build cache, which lacks an index:
# -buildmode=c-archive would compile the runtime a second time, and leave it out.
# For another architecture: make GOARCH=arm64 CC=aarch64-linux-gnu-gcc BUILD=…

CC       ?= cc
GO       ?= go
BUILD    ?= build
CACHEDIR ?= /var/lib/nss-iam

NSS_ENTRIES := $(shell sed -n 's/^\t\(_nss_iam_[a-z_]*\);/\1/p' nss/exports.map)
# CET: a process that insists on it loads no library without. The linker marks
# the module where every object is ready for it, so the C library's start files,
# which are not, are left out: nothing needs them. arm64 has no such process.
NSS_CET := $(shell $(CC) -fcf-protection=full -S -x c -o /dev/null /dev/null 2>/dev/null && echo -fcf-protection=full)
# All symbols are bound when the module is loaded (-z now), so that calls of the C library need no table between.
NSS_CFLAGS := -O2 -g -fno-plt -fstack-protector-strong $(NSS_CET) '-DNSS_IAM_DIR="$(CACHEDIR)"' $(NSS_DEFINES)
NSS_LDFLAGS := -shared -nostartfiles -Wl,-soname,libnss_iam.so.2 -Wl,--version-script=nss/exports.map \
	-Wl,-z,relro,-z,now,-z,noexecstack,-z,nodelete,-z,defs,-z,noseparate-code -Wl,--hash-style=gnu \
	-Wl,--build-id=sha1 -Wl,--sort-section=alignment -Wl,--strip-debug $(NSS_ENTRIES:%=-Wl,-u,%)

$(BUILD)/libnss_iam.so.2: $(wildcard nss/*.c nss/*.h) nss/nss.go nss/exports.map nss/build.mk
	@mkdir -p $(BUILD)
	archive=$$(CGO_ENABLED=1 CC="$(CC)" CGO_CFLAGS="$(subst ",\",$(NSS_CFLAGS))" \
		$(GO) list -trimpath -export -f '{{.Export}}' ./nss) && cp "$$archive" $(BUILD)/nss.a
	ranlib $(BUILD)/nss.a
	$(CC) $(NSS_LDFLAGS) -o $@ $(BUILD)/nss.a
	@rm -f $(BUILD)/nss.a

NSS_WARNINGS := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wconversion -Wshadow -Wvla -Werror

.PHONY: nss-lint nss-test nss-fuzz nss-bench nss-instructions
nss-lint:
	gcc $(NSS_WARNINGS) -O2 -fPIC -shared -o /dev/null nss/*.c
	clang $(NSS_WARNINGS) -O2 -fPIC -shared -o /dev/null nss/*.c
	aarch64-linux-gnu-gcc $(NSS_WARNINGS) -O2 -fPIC -shared -o /dev/null nss/*.c

# The module's tests but the Go ones: real processes, which wait much, and the
# model meanwhile; then a minute of fuzzing for each target.
nss-test: $(BUILD)/libnss_iam.so.2
	nss/model/check.sh $(BUILD)/nss-model >$(BUILD)/nss-model.log 2>&1 & model=$$!; \
		tests/integration/nss/run.sh $(BUILD); status=$$?; \
		wait $$model || status=1; cat $(BUILD)/nss-model.log; exit $$status
	nss/fuzz/run.sh $(BUILD) 60

# Until it is stopped, or for FUZZ_SECONDS.
FUZZ_SECONDS ?= 0
nss-fuzz:
	nss/fuzz/run.sh $(BUILD) $(FUZZ_SECONDS)

# Records what a lookup takes now; nss-test compares with it.
nss-instructions: $(BUILD)/libnss_iam.so.2
	go run ./nss/mknss $(BUILD)
	tests/private-host tests/integration/nss/instructions.sh --record $(abspath $(BUILD)) $(abspath $(BUILD)) >$(BUILD)/instructions.txt
	mv $(BUILD)/instructions.txt tests/integration/nss/instructions.txt

nss-bench: $(BUILD)/libnss_iam.so.2
	tests/integration/nss/bench.sh $(BUILD) docs/benchmarks.md
