/*
 * mapping.c - the lifetime of the mapped file
 *
 * One file is current. It is replaced while other threads read the one before,
 * without a lock, in any thread, and in a child forked at any instruction:
 *
 *   enter    load current; count up; load current again. If it is the same,
 *            the file may be read. If not, count down and begin anew.
 *   leave    count down; if the slot is RETIRED, try to release it.
 *   replace  claim a slot (FREE to BUSY); map; switch current, which only
 *            succeeds if nobody did so meanwhile; BUSY to LIVE; the slot that
 *            was current goes from LIVE to RETIRED; try to release it.
 *   release  if no reader is counted: RETIRED to RELEASING, by one winner;
 *            unmap; FREE.
 *
 * All of it is sequentially consistent. A reader that saw the same current
 * twice was counted before current was switched, so whoever releases sees its
 * count. Values of current and of a slot's state carry a serial number, so an
 * old one is never mistaken for a new one. model/mapping.pml is this text for
 * the model checker.
 *
 * Readers are counted in a page that the kernel hands to a forked child empty
 * (MADV_WIPEONFORK): the threads that were counted do not exist there. Its
 * first word is the process's epoch, 0 in a new child. Slots that are BUSY or
 * RELEASING under another epoch were left so by the fork, and are taken over.
 * A slot's base is set only while its file is mapped, so a child never unmaps
 * what is not its own. All that it can lose is one mapping, read-only and
 * shared, if it was forked between mmap and the store after it, or between the
 * store that begins a release and the end of munmap.
 *
 * Where there is no such page (Linux before 4.14, no memory) or no free slot,
 * the file is mapped for the one call.
 *
 * What remains: if root shortens the current file in place, lookups until the
 * next check can meet SIGBUS. Nobody else can, and the refresher never does.
 * fork, and then lookups, in a signal handler that interrupted a lookup are
 * not covered, as POSIX allows no lookup there.
 */
#include "mapping.h"

#include <errno.h>
#include <sys/mman.h>

enum { SLOTS = 6, STRIPES = 8, LINE = 64, TRIES = 64 };

/* Nanoseconds between two looks at the path; a build for tests may choose others. */
#ifndef NSS_IAM_CHECK_NS
#define NSS_IAM_CHECK_NS 1000000000
#endif

static const int64_t check_interval = NSS_IAM_CHECK_NS;

enum state { FREE, BUSY, LIVE, RETIRED, RELEASING };

struct slot {
	_Atomic(uint64_t) state; /* serial, epoch, state */
	_Atomic(uintptr_t) base; /* not zero only while the file is mapped */
	struct file file;
};

/* On one page, so that a fork finds all of it as of one moment. */
static struct {
	_Atomic(uint64_t) current; /* serial, errno value, slot + 1 */
	_Atomic(uint64_t) checked; /* nanoseconds; 0: never */
	_Atomic(uint64_t) serial;
	_Atomic(uint64_t) epochs;
	_Atomic(struct readers *) readers;
	struct slot slots[SLOTS];
} shared __attribute__((aligned(2048)));
_Static_assert(sizeof(shared) <= 2048, "one page");

struct stripe {
	_Alignas(LINE) _Atomic(uint64_t) count; /* epoch, number of readers */
};

struct readers {
	_Alignas(LINE) _Atomic(uint64_t) epoch;
	struct stripe stripes[SLOTS][STRIPES];
};
_Static_assert(sizeof(struct readers) <= 4096, "one page");

/* A value of current: a slot, or why there is none (errno 0: not looked yet). */
static uint64_t current_slot(uint64_t serial, int slot) { return serial << 24 | (uint64_t)(slot + 1); }
static uint64_t current_none(uint64_t serial, int error) { return serial << 24 | (uint64_t)(error & 0xffff) << 8; }
static int slot_of(uint64_t current) { return (int)(current & 0xff) - 1; }
static int error_of(uint64_t current) { return (int)(current >> 8 & 0xffff); }

/* A slot's state word. */
static uint64_t word(uint64_t serial, uint64_t epoch, enum state state)
{
	return serial << 24 | (epoch & 0xfffff) << 4 | (uint64_t)state;
}
static uint64_t with_state(uint64_t w, enum state state) { return (w & ~(uint64_t)0xf) | (uint64_t)state; }
static enum state state_of(uint64_t w) { return (enum state)(w & 0xf); }
static bool of_epoch(uint64_t w, uint64_t epoch) { return (w >> 4 & 0xfffff) == (epoch & 0xfffff); }
static uint64_t serial_of(uint64_t w) { return w >> 24; }

static uint64_t next_serial(void) { return atomic_fetch_add(&shared.serial, 1) + 1; }

static bool swap(_Atomic(uint64_t) *at, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong(at, &from, to);
}

static uint64_t next_epoch(void)
{
	return (atomic_fetch_add(&shared.epochs, 1) + 1) & 0xffffffff;
}

/* readers_page is the page of counts, made at first use; NULL if it cannot be had. */
static struct readers *readers_page(void)
{
	struct readers *page = atomic_load(&shared.readers), *none = NULL;

	if (page != NULL)
		return page;
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return NULL;
	if (madvise(page, sizeof(*page), MADV_WIPEONFORK) == 0) {
		atomic_store(&page->epoch, next_epoch());
		if (atomic_compare_exchange_strong(&shared.readers, &none, page))
			return page;
	}
	munmap(page, sizeof(*page));
	return none;
}

/* epoch_of is the process's epoch; a new child begins one. */
static uint64_t epoch_of(struct readers *page)
{
	uint64_t epoch = atomic_load(&page->epoch);

	if (epoch == 0) {
		uint64_t next = next_epoch();

		if (atomic_compare_exchange_strong(&page->epoch, &epoch, next))
			epoch = next;
	}
	return epoch;
}

static void count_up(_Atomic(uint64_t) *count, uint64_t epoch)
{
	uint64_t had = atomic_load_explicit(count, memory_order_relaxed), now;

	do {
		now = had >> 32 == epoch ? had + 1 : epoch << 32 | 1;
	} while (!atomic_compare_exchange_weak(count, &had, now));
}

static void count_down(_Atomic(uint64_t) *count, uint64_t epoch)
{
	uint64_t had = atomic_load_explicit(count, memory_order_relaxed);

	do {
		if (had >> 32 != epoch || (had & 0xffffffff) == 0)
			return;
	} while (!atomic_compare_exchange_weak(count, &had, had - 1));
}

static bool any_reader(struct readers *page, int slot, uint64_t epoch)
{
	for (int i = 0; i < STRIPES; i++) {
		uint64_t count = atomic_load(&page->stripes[slot][i].count);

		if (count >> 32 == epoch && (count & 0xffffffff) != 0)
			return true;
	}
	return false;
}

/* unmap_slot frees a slot that nobody else may touch any more. */
static void unmap_slot(struct slot *slot)
{
	uintptr_t base = atomic_exchange(&slot->base, 0);

	if (base != 0)
		munmap((void *)base, (size_t)slot->file.id.size);
	atomic_store(&slot->state, with_state(atomic_load(&slot->state), FREE));
}

static void try_release(struct readers *page, int i, uint64_t epoch)
{
	struct slot *slot = &shared.slots[i];
	uint64_t w = atomic_load(&slot->state);

	if (state_of(w) != RETIRED || any_reader(page, i, epoch))
		return;
	if (swap(&slot->state, w, word(serial_of(w), epoch, RELEASING)))
		unmap_slot(slot);
}

/* settle takes a slot on to where it belongs: orphans of a fork, superseded files. */
static void settle(struct readers *page, int i, uint64_t epoch)
{
	struct slot *slot = &shared.slots[i];
	uint64_t w = atomic_load(&slot->state);
	bool is_current = atomic_load(&shared.current) == current_slot(serial_of(w), i);

	switch (state_of(w)) {
	case FREE:
		break;
	case BUSY:
		if (of_epoch(w, epoch))
			break;
		if (is_current)
			swap(&slot->state, w, with_state(w, LIVE));
		else if (swap(&slot->state, w, word(serial_of(w), epoch, RELEASING)))
			unmap_slot(slot);
		break;
	case LIVE:
		if (!is_current)
			swap(&slot->state, w, with_state(w, RETIRED));
		try_release(page, i, epoch);
		break;
	case RETIRED:
		try_release(page, i, epoch);
		break;
	case RELEASING:
		if (!of_epoch(w, epoch) && swap(&slot->state, w, word(serial_of(w), epoch, RELEASING)))
			unmap_slot(slot);
		break;
	}
}

static void settle_all(struct readers *page, uint64_t epoch)
{
	for (int i = 0; i < SLOTS; i++)
		settle(page, i, epoch);
}

/* claim takes a free slot, or returns -1. */
static int claim(uint64_t epoch, uint64_t *ret_word)
{
	for (int i = 0; i < SLOTS; i++) {
		uint64_t w = atomic_load(&shared.slots[i].state);

		if (state_of(w) != FREE)
			continue;
		*ret_word = word(next_serial(), epoch, BUSY);
		if (swap(&shared.slots[i].state, w, *ret_word))
			return i;
	}
	return -1;
}

/* load fills a claimed slot with the file at the path. */
static int load(struct slot *slot)
{
	unsigned char *base;
	int fd, error = file_root(&slot->file.root);

	if (error == 0)
		error = file_find(&slot->file.id, &fd);
	if (error != 0)
		return error;
	error = file_map(fd, &slot->file.id, &base);
	if (error == 0)
		atomic_store(&slot->base, (uintptr_t)base);
	file_close(fd);
	if (error == 0)
		error = file_parse(base, (uint64_t)slot->file.id.size, &slot->file);
	return error;
}

/* retire gives up the slot that was current. */
static void retire(struct readers *page, uint64_t was, uint64_t epoch)
{
	if (slot_of(was) >= 0)
		settle(page, slot_of(was), epoch);
}

/*
 * replace makes the file at the path current in place of was. It returns 0 if
 * something else than was is current now, and else an errno value; ENOBUFS if
 * there is no free slot.
 */
static int replace(struct readers *page, uint64_t was, uint64_t epoch)
{
	uint64_t w;

	settle_all(page, epoch);

	int i = claim(epoch, &w);
	if (i < 0)
		return ENOBUFS;

	struct slot *slot = &shared.slots[i];
	int error = load(slot);
	uint64_t now = current_slot(serial_of(w), i);
	if (error == 0 && swap(&shared.current, was, now)) {
		swap(&slot->state, w, with_state(w, LIVE));
		retire(page, was, epoch);
		if (atomic_load(&shared.current) != now)
			retire(page, now, epoch);
		return 0;
	}
	unmap_slot(slot);
	return error;
}

/* passing reports whether an error says nothing about the file. */
static bool passing(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR || error == EAGAIN ||
	       error == ENOBUFS;
}

/* due elects one caller per interval to look at the path. */
static bool due(void)
{
	struct timespec time;

	if (clock_gettime(CLOCK_MONOTONIC_COARSE, &time) != 0)
		return false;

	uint64_t now = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec + 1;
	uint64_t last = atomic_load(&shared.checked);
	int64_t passed = (int64_t)(now - last);

	/* Another CPU's clock may be a tick behind; another time namespace's far behind. */
	if (last != 0 && passed < check_interval && passed > -check_interval)
		return false;
	return swap(&shared.checked, last, now);
}

/*
 * refresh looks at the path while the file in hold is current, and reports
 * whether something else became current. A file that is bad or cannot be seen
 * changes nothing, unless the held file itself is what was changed.
 */
static bool refresh(struct readers *page, const struct mapping_hold *hold)
{
	struct file_id seen;
	struct file_root root;
	const struct file *file = hold->file;

	settle_all(page, hold->epoch);
	if (file_look(&seen) != 0 || file_same(&seen, &file->id))
		return false;
	/* A process of the host that went into a container's root is still the host's. */
	if (file_root(&root) != 0 || root.dev != file->root.dev || root.ino != file->root.ino)
		return false;

	int error = replace(page, hold->current, hold->epoch);
	if (error == 0)
		return true;
	if (!file_same_inode(&seen, &file->id))
		return false;
	if (swap(&shared.current, hold->current, current_none(next_serial(), passing(error) ? 0 : error)))
		retire(page, hold->current, hold->epoch);
	return true;
}

static int enter_alone(struct mapping_hold *hold)
{
	unsigned char *base;
	int fd, error = file_find(&hold->own.id, &fd);

	if (error != 0)
		return error;
	error = file_map(fd, &hold->own.id, &base);
	file_close(fd);
	if (error != 0)
		return error;
	error = file_parse(base, (uint64_t)hold->own.id.size, &hold->own);
	if (error != 0) {
		munmap(base, (size_t)hold->own.id.size);
		return error;
	}
	hold->own.db.base = base;
	hold->file = &hold->own;
	hold->count = NULL;
	return 0;
}

/* stripe spreads threads, by where their stacks are, so that they share no line. */
static unsigned stripe(void)
{
	uint64_t place = (uint64_t)(uintptr_t)__builtin_frame_address(0) >> 12;

	return (unsigned)(place * 0x9E3779B97F4A7C15u >> 61);
}
_Static_assert(STRIPES == 8, "stripe returns three bits");

/* take counts the caller as a reader of current, if it is still current then. */
static bool take(struct readers *page, uint64_t current, struct mapping_hold *hold)
{
	int i = slot_of(current);

	hold->current = current;
	hold->count = &page->stripes[i][stripe()].count;
	hold->file = &shared.slots[i].file;
	count_up(hold->count, hold->epoch);
	if (atomic_load(&shared.current) == current)
		return true;
	mapping_leave(hold);
	return false;
}

int mapping_enter(struct mapping_hold *hold)
{
	struct readers *page = readers_page();

	if (page == NULL)
		return enter_alone(hold);
	hold->epoch = epoch_of(page);

	bool look = due();
	for (int tries = 0; tries < TRIES; tries++) {
		uint64_t current = atomic_load(&shared.current);

		if (slot_of(current) >= 0) {
			if (!take(page, current, hold))
				continue;
			if (!look || !refresh(page, hold))
				return 0;
			look = false;
			mapping_leave(hold);
			continue;
		}
		if (!look && error_of(current) != 0)
			return error_of(current);
		look = false;

		int error = replace(page, current, hold->epoch);
		if (error == ENOBUFS)
			break;
		if (passing(error))
			return error;
		if (error != 0)
			swap(&shared.current, current, current_none(next_serial(), error));
	}
	return enter_alone(hold);
}

void mapping_leave(struct mapping_hold *hold)
{
	if (hold->count == NULL) {
		munmap((void *)(uintptr_t)hold->own.db.base, (size_t)hold->own.id.size);
		return;
	}
	count_down(hold->count, hold->epoch);

	int i = slot_of(hold->current);
	if (state_of(atomic_load(&shared.slots[i].state)) == RETIRED)
		try_release(atomic_load(&shared.readers), i, hold->epoch);
}
