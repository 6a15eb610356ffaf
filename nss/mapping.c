/*
 * mapping.c - the lifetime of the mapped file
 *
 * One file is current. It is replaced while other threads read the one before,
 * without a lock, in any thread and in any forked child:
 *
 *   enter    load current; count up in its slot; load current again. If it is
 *            the same, the file may be read. If not, leave and start over.
 *   leave    count down; if the slot is not current any more, try to release it.
 *   replace  claim a slot (FREE to BUSY); map; switch current, which only
 *            succeeds if nobody did so meanwhile; BUSY to LIVE; try to release
 *            the slot that was current.
 *   release  a slot that is LIVE, is not current and has no reader: LIVE to
 *            BUSY, by one winner; unmap; FREE.
 *
 * All of it is sequentially consistent. A reader that saw the same current
 * twice was counted before current was switched, so a thread that sees another
 * current and then no reader may unmap. Values of current and of a slot's state
 * carry a serial number, so an old one is never mistaken for a new one, and what
 * was current once never is again. model/mapping.pml is this text for the model
 * checker.
 *
 * A forked child inherits the counts of threads that it does not have. They are
 * only ever too high, so nothing is unmapped too early: fork needs no handling.
 * The price is accepted: a file that another thread was reading, mapping or
 * unmapping at the fork keeps its slot in the child, and stays mapped there after
 * it was superseded. Files are replaced minutes apart, so there is one such file
 * at most, rarely two. A lookup that never ends has the same effect: a signal
 * handler jumped out of it, or a CLONE_VM child was killed in it.
 *
 * If such readers hold every slot, current gives up its own: each lookup then
 * maps the newest file for itself, until a slot is free. The newest file is
 * found in every case.
 *
 * SIGBUS: a page of the file that the kernel cannot read from its disk kills the
 * process that looks at it, as a bad page of libc.so.6 does. So does a file that
 * root shortens in place, which the refresher never does. To read the file in
 * place of mapping it would end that, at 80 times the cost of a lookup.
 */
#include "mapping.h"

#include <errno.h>

enum { SLOTS = 6, STRIPES = 8, LINE = 64, TRIES = 64 };

/* Nanoseconds between two looks at the path; a build for tests may choose others. */
#ifndef NSS_IAM_CHECK_NS
#define NSS_IAM_CHECK_NS 1000000000
#endif

static const int64_t check_interval = NSS_IAM_CHECK_NS;

enum state { FREE, BUSY, LIVE };

struct slot {
	_Atomic(uint64_t) state; /* serial, state */
	struct file file;
};

struct stripe {
	_Alignas(LINE) _Atomic(uint64_t) count;
};

static struct {
	_Alignas(LINE) _Atomic(uint64_t) current; /* serial, errno value, slot + 1 */
	_Atomic(uint64_t) checked;                /* nanoseconds; 0: never */
	_Atomic(uint64_t) serial;
	struct slot slots[SLOTS];
	struct stripe readers[SLOTS][STRIPES];
} shared;

/* A value of current: a slot, or why there is none (errno 0: not looked yet). */
static uint64_t current_slot(uint64_t serial, int slot) { return serial << 24 | (uint64_t)(slot + 1); }
static uint64_t current_none(uint64_t serial, int error) { return serial << 24 | (uint64_t)(error & 0xffff) << 8; }
static int slot_of(uint64_t current) { return (int)(current & 0xff) - 1; }
static int error_of(uint64_t current) { return (int)(current >> 8 & 0xffff); }

/* A slot's state word. */
static uint64_t word(uint64_t serial, enum state state) { return serial << 24 | (uint64_t)state; }
static enum state state_of(uint64_t w) { return (enum state)(w & 0xff); }
static uint64_t serial_of(uint64_t w) { return w >> 24; }

static uint64_t next_serial(void) { return atomic_fetch_add(&shared.serial, 1) + 1; }

static bool swap(_Atomic(uint64_t) *at, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong(at, &from, to);
}

static bool any_reader(int slot)
{
	for (int i = 0; i < STRIPES; i++) {
		if (atomic_load(&shared.readers[slot][i].count) != 0)
			return true;
	}
	return false;
}

static void release(int i)
{
	struct slot *slot = &shared.slots[i];
	uint64_t w = atomic_load(&slot->state);

	if (state_of(w) != LIVE || atomic_load(&shared.current) == current_slot(serial_of(w), i) || any_reader(i))
		return;
	if (!swap(&slot->state, w, word(serial_of(w), BUSY)))
		return;
	file_unmap(&slot->file);
	atomic_store(&slot->state, word(serial_of(w), FREE));
}

/* claim takes a free slot, or returns -1. */
static int claim(uint64_t *ret_serial)
{
	for (int i = 0; i < SLOTS; i++) {
		uint64_t w = atomic_load(&shared.slots[i].state);

		if (state_of(w) != FREE)
			continue;
		*ret_serial = next_serial();
		if (swap(&shared.slots[i].state, w, word(*ret_serial, BUSY)))
			return i;
	}
	return -1;
}

/* supersede leaves no file current in place of was, so that the slot of was can be released. */
static void supersede(uint64_t was, int error)
{
	if (swap(&shared.current, was, current_none(next_serial(), error)))
		release(slot_of(was));
}

/* replace_without is replace if no slot is free: if the file at the path is good, was gives up its slot. */
static int replace_without(uint64_t was)
{
	struct file file;

	if (slot_of(was) < 0)
		return ENOBUFS;

	int error = file_open(&file);
	if (error == 0) {
		file_unmap(&file);
		supersede(was, 0);
	}
	return error;
}

/*
 * replace makes the file at the path current in place of was. It returns 0 if was
 * is no longer current, and otherwise an errno value; ENOBUFS if each lookup must
 * map the file for itself.
 */
static int replace(uint64_t was)
{
	uint64_t serial;

	/* A thread may have ended before it released a slot. */
	for (int i = 0; i < SLOTS; i++)
		release(i);

	int i = claim(&serial);
	if (i < 0)
		return replace_without(was);

	struct slot *slot = &shared.slots[i];
	uint64_t now = current_slot(serial, i);
	int error = file_open(&slot->file);
	if (error == 0 && swap(&shared.current, was, now)) {
		atomic_store(&slot->state, word(serial, LIVE));
		if (slot_of(was) >= 0)
			release(slot_of(was));
		release(i); /* somebody may have replaced it while it was BUSY */
		return 0;
	}
	if (error == 0)
		file_unmap(&slot->file);
	atomic_store(&slot->state, word(serial, FREE));
	return error;
}

/* is_transient reports whether an error says nothing about the file. */
static bool is_transient(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR || error == EAGAIN;
}

/* claim_recheck elects one caller per interval to look at the path. */
static bool claim_recheck(void)
{
	struct timespec time;

	if (clock_gettime(CLOCK_MONOTONIC_COARSE, &time) != 0)
		return false;

	uint64_t now = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec + 1;
	uint64_t last = atomic_load(&shared.checked);
	int64_t passed = (int64_t)(now - last);

	/* Another CPU's clock may be a tick behind; that of another time namespace may be far behind. */
	if (last != 0 && passed < check_interval && passed > -check_interval)
		return false;
	return swap(&shared.checked, last, now);
}

/*
 * refresh looks at the path while the file in hold is current, and reports
 * whether something else became current. A file that is bad, cannot be seen or is
 * not for this process (place_ours) changes nothing, unless it is the held file
 * itself that changed.
 */
static bool refresh(const struct mapping_hold *hold)
{
	struct file_id seen;
	const struct file *file = hold->file;

	if (file_look(&seen) != 0 || file_same(&seen, &file->id) || !place_ours(&file->place))
		return false;

	int error = replace(hold->current);
	if (error == 0)
		return true;
	if (!file_same_inode(&seen, &file->id))
		return false;
	supersede(hold->current, is_transient(error) ? 0 : error);
	return true;
}

static int enter_alone(struct mapping_hold *hold)
{
	hold->file = &hold->own;
	hold->count = NULL;
	return file_open(&hold->own);
}

/* stripe spreads threads over counters by the addresses of their stacks, so that few share a cache line. */
static unsigned stripe(void)
{
	uint64_t place = (uint64_t)(uintptr_t)__builtin_frame_address(0) >> 12;

	return (unsigned)(place * 0x9E3779B97F4A7C15u >> 61);
}
_Static_assert(STRIPES == 8, "stripe returns three bits");

/* take counts the caller as a reader of current, if it is still current then. */
static bool take(uint64_t current, struct mapping_hold *hold)
{
	int i = slot_of(current);

	hold->current = current;
	hold->count = &shared.readers[i][stripe()].count;
	hold->file = &shared.slots[i].file;
	atomic_fetch_add(hold->count, 1);
	if (atomic_load(&shared.current) == current)
		return true;
	mapping_leave(hold);
	return false;
}

int mapping_enter(struct mapping_hold *hold)
{
	bool look = claim_recheck();

	for (int tries = 0; tries < TRIES; tries++) {
		uint64_t current = atomic_load(&shared.current);

		if (slot_of(current) >= 0) {
			if (!take(current, hold))
				continue;
			if (!look || !refresh(hold))
				return 0;
			/* Another thread's replacement may be older than the file at the path now: look again. */
			mapping_leave(hold);
			continue;
		}
		if (!look && error_of(current) != 0)
			return error_of(current);

		int error = replace(current);
		if (error == ENOBUFS)
			break;
		if (is_transient(error))
			return error;
		if (error != 0) {
			swap(&shared.current, current, current_none(next_serial(), error));
			look = false;
		}
	}
	return enter_alone(hold);
}

void mapping_leave(struct mapping_hold *hold)
{
	if (hold->count == NULL) {
		file_unmap(&hold->own);
		return;
	}
	atomic_fetch_sub(hold->count, 1);
	if (atomic_load(&shared.current) != hold->current)
		release(slot_of(hold->current));
}
