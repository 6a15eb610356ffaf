/*
 * mapping.pml - the protocol of mapping.c for the model checker spin
 *
 * Threads of a process look up and replace, in any order and interleaving. At
 * any instant the process may fork: its threads are gone, the counts are
 * wiped, and threads of the child go on with what they find. Checked is that
 *
 *   no reader touches an unmapped file, or another than the one it entered;
 *   after the last check, nothing but the current file is mapped, but for a
 *   mapping that a child loses if it was forked right beside mmap or munmap.
 *
 * check.sh checks it, and that each of these faults is found: NO_RECHECK,
 * NO_RETIRED, NO_SERIAL, NO_WIPE, NO_ORPHANS.
 */
#ifndef SLOTS
#define SLOTS 2
#endif
#define STRIPES 2
/*
 * Lookups and replacements by each thread of the process (A, B) and of its
 * child (C, D). Without FORK there is no child.
 */
#ifdef FORK
#define A 1, 0
#define B 0, 1
#define C 1, 0
#define D 0, 1
#else
#define A 1, 1
#define B 0, 2
#endif
#define THREADS 2 /* in the process, and in its child */
#define MAPS 10
#define NONE 255

mtype = { FREE, BUSY, LIVE, RETIRED, RELEASING };

mtype state[SLOTS] = FREE;
byte serial[SLOTS];      /* the two other parts of a slot's state word */
byte epoch_of[SLOTS];
byte base[SLOTS];        /* the mapping that the slot says it has; 0: none */
byte count[4];           /* SLOTS * STRIPES */
byte current = NONE;     /* a slot and its serial: one word */
byte current_serial;
byte serials;
byte maps;               /* mappings made so far; numbered from 1 */
bool mapped[MAPS];
byte map_of[MAPS];       /* by serial: what readers shall find */
byte epoch = 1;          /* 2 in the child */
byte done;
bool beside[MAPS];       /* from mmap to the store of base, and from that store to munmap */

#define IS_CURRENT(i) (current == i && current_serial == serial[i])

/* unmap_slot: of a slot that nobody else may touch */
inline unmap_slot(i) {
	d_step { k = base[i]; base[i] = 0; beside[k] = true; }
	d_step { mapped[k] = false; beside[k] = false; k = 0; }
	state[i] = FREE;
}

#ifdef NO_SERIAL
#define SAME(i) true
#else
#define SAME(i) (serial[i] == w_serial)
#endif

inline try_release(i) {
	d_step { w = state[i]; w_serial = serial[i]; }
	if
	:: w == RETIRED ->
		if
		:: count[i * STRIPES] == 0 ->
			if
			:: count[i * STRIPES + 1] == 0 ->
				won = false;
				d_step {
					if
					:: state[i] == RETIRED && SAME(i) ->
						state[i] = RELEASING; epoch_of[i] = me; won = true
					:: else
					fi
				}
				if
				:: won -> unmap_slot(i)
				:: else
				fi
			:: else
			fi
		:: else
		fi
	:: else
	fi
}

/* settle: take a slot on to where it belongs */
inline settle(i) {
	d_step { w = state[i]; w_serial = serial[i]; w_epoch = epoch_of[i]; }
	live = (current == i && current_serial == w_serial);
	won = false;
	if
	:: w == LIVE && !live ->
		d_step {
			if
			:: state[i] == LIVE && SAME(i) -> state[i] = RETIRED
			:: else
			fi
		}
#ifndef NO_ORPHANS
	:: w == BUSY && w_epoch != me && live ->
		d_step {
			if
			:: state[i] == BUSY && serial[i] == w_serial && epoch_of[i] == w_epoch -> state[i] = LIVE
			:: else
			fi
		}
	:: ((w == BUSY && !live) || w == RELEASING) && w_epoch != me ->
		d_step {
			if
			:: state[i] == w && serial[i] == w_serial && epoch_of[i] == w_epoch ->
				state[i] = RELEASING; epoch_of[i] = me; won = true
			:: else
			fi
		}
		if
		:: won -> unmap_slot(i)
		:: else
		fi
#endif
	:: else
	fi
	try_release(i)
}

inline settle_all() {
	n = 0;
	do
	:: n < SLOTS -> settle(n); n++
	:: else -> n = 0; break
	od
}

inline lookup() {
	do
	:: d_step { c = current; c_serial = current_serial; }
		if
		:: c == NONE -> break
		:: else
		fi;
		count[c * STRIPES + id]++;
#ifndef NO_RECHECK
		if
		:: current == c && current_serial == c_serial
		:: else ->
			count[c * STRIPES + id]--;
			try_release(c);
			goto next
		fi;
#endif
		k = base[c];
		assert(k == map_of[c_serial] && mapped[k]);
		assert(mapped[k]);
		count[c * STRIPES + id]--;
		if
		:: state[c] == RETIRED -> try_release(c)
		:: else
		fi;
		break;
next:		skip
	od;
	k = 0; c = 0; c_serial = 0
}

inline replace() {
	d_step { c = current; c_serial = current_serial; }
	settle_all();
	slot = 0;
	do /* claim */
	:: slot < SLOTS ->
		won = false;
		d_step {
			if
			:: state[slot] == FREE ->
				serials++; state[slot] = BUSY; serial[slot] = serials; epoch_of[slot] = me; won = true
			:: else
			fi
		}
		if
		:: won -> break
		:: else -> slot++
		fi
	:: else -> break
	od;
	if
	:: slot < SLOTS ->
		d_step { maps++; k = maps; mapped[k] = true; beside[k] = true; map_of[serial[slot]] = k; }
		d_step { base[slot] = k; beside[k] = false; k = 0; }
		won = false;
		d_step { /* switch current */
			if
			:: current == c && current_serial == c_serial ->
				current = slot; current_serial = serial[slot]; own = serial[slot]; won = true
			:: else
			fi
		}
		if
		:: won ->
			d_step {
				if
				:: state[slot] == BUSY && serial[slot] == own && epoch_of[slot] == me -> state[slot] = LIVE
				:: else
				fi
			}
			if
			:: c != NONE ->
#ifdef NO_RETIRED
				if
				:: state[c] == LIVE && serial[c] == c_serial -> state[c] = RELEASING; unmap_slot(c)
				:: else
				fi
#else
				settle(c)
#endif
			:: else
			fi;
			if
			:: !(current == slot && current_serial == own) -> settle(slot)
			:: else
			fi
		:: else -> unmap_slot(slot)
		fi
	:: else
	fi;
	c = 0; c_serial = 0; slot = 0; own = 0
}

#define WORK \
	byte c, c_serial, k, n, slot, own, w_serial, w_epoch; \
	mtype w; \
	bool won, live; \
	do \
	:: lookups + replacements > 0 -> \
		if \
		:: lookups > 0 -> lookups--; lookup() \
		:: replacements > 0 -> replacements--; replace() \
		fi; \
		w = FREE; w_serial = 0; w_epoch = 0; won = false; live = false \
	:: else -> break \
	od; \
	done++

/* The threads of the process stop where they are when it has forked. */
proctype parent(byte me; byte id; byte lookups; byte replacements) provided (epoch == 1) { WORK }
proctype child(byte me; byte id; byte lookups; byte replacements) { WORK }

/* What the last check of the process or of its child finds and leaves. */
inline last_check() {
	settle_all();
	n = 1;
	do
	:: n <= maps ->
		assert(!mapped[n] || beside[n] || (current != NONE && n == base[current]));
		n++
	:: else -> break
	od
}

init {
	byte me, k, n, w_serial, w_epoch;
	mtype w;
	bool won, live;

	/* One file is current to begin with. */
	d_step {
		maps = 1; serials = 1; mapped[1] = true; map_of[1] = 1;
		state[0] = LIVE; serial[0] = 1; epoch_of[0] = 1; base[0] = 1; current = 0; current_serial = 1
	}
	atomic { run parent(1, 0, A); run parent(1, 1, B); }
	if
	:: done == THREADS -> /* it did not fork */
		me = 1
#ifdef FORK
	:: atomic { true -> /* it forks, now */
		epoch = 2; done = 0;
#ifndef NO_WIPE
		n = 0;
		do
		:: n < SLOTS * STRIPES -> count[n] = 0; n++
		:: else -> break
		od;
#endif
		run child(2, 0, C); run child(2, 1, D);
		}
		done == THREADS;
		me = 2
#endif
	fi;
	last_check()
}
