# packaging.mk - what an installed system has besides the programs, and the
# packages made of it. Included by the top Makefile.
#
# Both packages hold exactly what "make install" puts under DESTDIR; for the
# other architecture: make deb DEB_ARCH=arm64, make rpm RPM_ARCH=aarch64.

SYSCONFDIR  ?= /etc
UNITDIR     ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
MANDIR      ?= $(PREFIX)/share/man
SHAREDIR    ?= $(PREFIX)/share/nss-iam
PAMCONFDIR  ?= $(PREFIX)/share/pam-configs

MAN_PAGES := $(wildcard docs/man/*.[58])
COMPLETIONS := $(BUILD)/completion/iam-cachefill.bash $(BUILD)/completion/_iam-cachefill \
	$(BUILD)/completion/iam-cachefill.fish
# The same for the command's other name, nss-iam.
OTHER_NAME = sed -e 's/iam-cachefill/nss-iam/g' -e 's/iam_cachefill/nss_iam/g'

# A program for another architecture does not run here.
GOHOSTARCH := $(shell $(GO) env GOHOSTARCH)
ifeq ($(or $(GOARCH),$(GOHOSTARCH)),$(GOHOSTARCH))
COMPLETER = $(BUILD)/iam-cachefill
else
COMPLETER = GOARCH= GOOS= CGO_ENABLED=0 $(GO) run ./cachefill
endif

.PHONY: install-system completions deb deb-all rpm rpm-all repo packaging-test hosts-test

# The completion scripts are the same on every architecture, and come from the
# command line itself.
completions: programs
	@mkdir -p $(BUILD)/completion
	$(COMPLETER) completion bash >$(BUILD)/completion/iam-cachefill.bash
	$(COMPLETER) completion zsh >$(BUILD)/completion/_iam-cachefill
	$(COMPLETER) completion fish >$(BUILD)/completion/iam-cachefill.fish
	@$(OTHER_NAME) $(BUILD)/completion/iam-cachefill.bash >$(BUILD)/completion/nss-iam.bash
	@$(OTHER_NAME) $(BUILD)/completion/_iam-cachefill >$(BUILD)/completion/_nss-iam
	@$(OTHER_NAME) $(BUILD)/completion/iam-cachefill.fish >$(BUILD)/completion/nss-iam.fish

build: completions

# Without a build of its own: what is installed is what was built.
install-system:
	install -D -m 0644 packaging/systemd/nss-iam.service $(DESTDIR)$(UNITDIR)/nss-iam.service
	install -D -m 0644 packaging/systemd/nss-iam.sysusers $(DESTDIR)$(SYSUSERSDIR)/nss-iam.conf
	install -D -m 0644 packaging/systemd/nss-iam.tmpfiles $(DESTDIR)$(TMPFILESDIR)/nss-iam.conf
	for f in packaging/systemd/features/*.conf; do \
		install -D -m 0644 $$f $(DESTDIR)$(SHAREDIR)/systemd/$${f##*/} || exit 1; done
	for f in packaging/selinux/nss_iam.*; do \
		install -D -m 0644 $$f $(DESTDIR)$(SHAREDIR)/selinux/$${f##*/} || exit 1; done
	install -m 0755 packaging/selinux/build $(DESTDIR)$(SHAREDIR)/selinux/build
	for d in nameservice.d nameservice-strict.d; do \
		install -D -m 0644 packaging/apparmor/nss-iam $(DESTDIR)$(SYSCONFDIR)/apparmor.d/abstractions/$$d/nss-iam || exit 1; done
	install -D -m 0644 packaging/environment $(DESTDIR)$(SHAREDIR)/environment
	install -D -m 0644 docs/json-schema.json $(DESTDIR)$(SHAREDIR)/json-schema.json
	install -D -m 0644 packaging/pam/nss-iam $(DESTDIR)$(PAMCONFDIR)/nss-iam
	install -D -m 0644 packaging/pam/nss-iam-account $(DESTDIR)$(PAMCONFDIR)/nss-iam-account
	for f in $(MAN_PAGES); do \
		install -D -m 0644 $$f $(DESTDIR)$(MANDIR)/man$${f##*.}/$${f##*/} || exit 1; done
	for c in iam-cachefill nss-iam; do \
		install -D -m 0644 $(BUILD)/completion/$$c.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$c && \
		install -D -m 0644 $(BUILD)/completion/_$$c $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_$$c && \
		install -D -m 0644 $(BUILD)/completion/$$c.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/$$c.fish || exit 1; done

# Two packages: the daemon's and libnss-iam.
DEB_ARCH ?= $(shell dpkg --print-architecture 2>/dev/null || echo amd64)
deb:
	packaging/deb/build $(DEB_ARCH) $(BUILD)

RPM_ARCH ?= $(shell uname -m)
rpm:
	packaging/rpm/build $(RPM_ARCH) $(BUILD)

deb-all:
	$(MAKE) deb DEB_ARCH=amd64
	$(MAKE) deb DEB_ARCH=arm64

rpm-all:
	$(MAKE) rpm RPM_ARCH=x86_64
	$(MAKE) rpm RPM_ARCH=aarch64

# make repo REPO_KEY=FINGERPRINT [REPO_URL=https://…]: see packaging/repo/build.
repo:
	packaging/repo/build $(BUILD)

packaging-test:
	$(GO) test -count=1 ./tests/integration/packaging/...

# Three releases of Debian, booted and joined: a part of "make test".
hosts-test: build
	$(GO) test -count=1 -v -timeout 15m ./tests/integration/hosts

.PHONY: copyright sbom
# After a change of dependencies.
copyright:
	$(GO) run ./packaging/inventory -update

# What is in each built package, beside it: FILE.spdx.json.
sbom:
	$(GO) run ./packaging/inventory -sbom $(wildcard $(BUILD)/*.deb $(BUILD)/*.rpm)
