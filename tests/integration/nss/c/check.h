/*
 * check.h - what the test programs share: checks that count, and the module's
 * entry points by name
 */
#ifndef NSS_IAM_TESTS_CHECK_H
#define NSS_IAM_TESTS_CHECK_H

#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern int __nss_configure_lookup(const char *database, const char *services);

static int checks, failures;

/* check counts, and prints what does not hold. */
#define check(held, ...) check_at(held, __FILE__, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 4, 5), unused))
static void check_at(int held, const char *file, int line, const char *format, ...)
{
	va_list args;

	__atomic_add_fetch(&checks, 1, __ATOMIC_RELAXED);
	if (held)
		return;
	__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (errno %d)\n", errno);
}

__attribute__((unused))
static int verdict(const char *name)
{
	printf("%s: %d checks, %d failed\n", name, checks, failures);
	return failures != 0 || checks == 0;
}

static struct {
	enum nss_status (*getpwnam)(const char *, struct passwd *, char *, size_t, int *);
	enum nss_status (*getpwuid)(uid_t, struct passwd *, char *, size_t, int *);
	enum nss_status (*setpwent)(int);
	enum nss_status (*getpwent)(struct passwd *, char *, size_t, int *);
	enum nss_status (*endpwent)(void);
	enum nss_status (*getgrnam)(const char *, struct group *, char *, size_t, int *);
	enum nss_status (*getgrgid)(gid_t, struct group *, char *, size_t, int *);
	enum nss_status (*setgrent)(int);
	enum nss_status (*getgrent)(struct group *, char *, size_t, int *);
	enum nss_status (*endgrent)(void);
	enum nss_status (*initgroups)(const char *, gid_t, long *, long *, gid_t **, long, int *);
} nss;

__attribute__((unused))
static void *entry(void *module, const char *name)
{
	void *symbol = dlsym(module, name);

	if (symbol == NULL) {
		fprintf(stderr, "no entry point %s\n", name);
		exit(1);
	}
	return symbol;
}

/* open_module loads the module as glibc does: by its soname. */
__attribute__((unused))
static void open_module(void)
{
	void *module = dlopen("libnss_iam.so.2", RTLD_NOW);

	if (module == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	*(void **)&nss.getpwnam = entry(module, "_nss_iam_getpwnam_r");
	*(void **)&nss.getpwuid = entry(module, "_nss_iam_getpwuid_r");
	*(void **)&nss.setpwent = entry(module, "_nss_iam_setpwent");
	*(void **)&nss.getpwent = entry(module, "_nss_iam_getpwent_r");
	*(void **)&nss.endpwent = entry(module, "_nss_iam_endpwent");
	*(void **)&nss.getgrnam = entry(module, "_nss_iam_getgrnam_r");
	*(void **)&nss.getgrgid = entry(module, "_nss_iam_getgrgid_r");
	*(void **)&nss.setgrent = entry(module, "_nss_iam_setgrent");
	*(void **)&nss.getgrent = entry(module, "_nss_iam_getgrent_r");
	*(void **)&nss.endgrent = entry(module, "_nss_iam_endgrent");
	*(void **)&nss.initgroups = entry(module, "_nss_iam_initgroups_dyn");
}

/* next_check waits until the module looks at the path again; test builds of it look more often. */
#ifndef NEXT_CHECK_MS
#define NEXT_CHECK_MS 1050
#endif
__attribute__((unused))
static void next_check(void)
{
	struct timespec t = { NEXT_CHECK_MS / 1000, NEXT_CHECK_MS % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

#endif
