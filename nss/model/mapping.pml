/*
 * mapping.pml - the protocol of mapping.c for the model checker spin
 *
 * Threads of a process look up and replace, in any order and interleaving,
 * while the file at the path is replaced. At any instant the process may fork:
 * its threads are gone, their counts stay as they were, and threads of the child
 * go on with what they find. With LOST, a lookup may end without counting down,
 * as after siglongjmp. Checked is that
 *
 *   no reader touches an unmapped file, or another than the one it entered;
 *   a lookup that looks at the path reads the file that was there when it began,
 *   or a newer one, however many slots are lost;
 *   in the end nothing but the current file is mapped, without fork and loss.
 *
 * check.sh checks it, and that each of these faults is found: NO_RECHECK,
 * NO_COUNT, NO_CURRENT, NO_SERIAL, NO_GIVING_UP, NO_LOOKING_AGAIN.
 */
#ifndef SLOTS
#define SLOTS 2
#endif
#define STRIPES 2
/*
 * Lookups that do not look at the path, and lookups that do, of each thread of
 * the process (A, B) and of its child (C, D). Without FORK there is no child.
 */
#ifndef A
#define A 1, 1
#define B 1, 1
#define C 1, 1
#define D 0, 1
#endif
#define THREADS 2  /* in the process, and in its child */
#ifndef REPLACED
#define REPLACED 2 /* how often the file at the path is replaced */
#endif
#define MAPS 30
#define NONE 255

mtype = { FREE, BUSY, LIVE };

mtype state[SLOTS] = FREE;
byte serial[SLOTS];      /* the other part of a slot's state word */
byte base[SLOTS];        /* the mapping in the slot */
byte count[4];           /* SLOTS * STRIPES */
byte current = NONE;     /* a slot and its serial: one word */
byte current_serial;
byte serials;
byte maps;               /* mappings made so far; numbered from 1 */
bool mapped[MAPS];
byte version[MAPS];      /* of the file that was mapped */
byte map_of[MAPS];       /* by serial: what readers shall find */
byte path = 1;           /* the version of the file at the path */
byte epoch = 1;          /* 2 in the child */
byte done;

#define IS_CURRENT(i, s) (current == i && current_serial == s)
#ifdef NO_SERIAL
#define SAME(i) true
#else
#define SAME(i) (serial[i] == w_serial)
#endif
#ifdef NO_COUNT
#define IDLE(i, stripe) true
#else
#define IDLE(i, stripe) (count[(i) * STRIPES + stripe] == 0)
#endif
#ifdef NO_CURRENT
#define SUPERSEDED(i) true
#else
#define SUPERSEDED(i) (!IS_CURRENT(i, w_serial))
#endif

inline release(i) {
	d_step { w = state[i]; w_serial = serial[i]; won = false; }
	if
	:: w == LIVE ->
		if
		:: SUPERSEDED(i) ->
			if
			:: IDLE(i, 0) ->
				if
				:: IDLE(i, 1) ->
					d_step {
						if
						:: state[i] == LIVE && SAME(i) -> state[i] = BUSY; won = true
						:: else
						fi
					}
				:: else
				fi
			:: else
			fi
		:: else
		fi
	:: else
	fi;
	if
	:: won -> mapped[base[i]] = false; state[i] = FREE; won = false
	:: else
	fi;
	w = FREE; w_serial = 0
}

/* map: the file that is at the path, as mapping k */
inline map() {
	d_step { maps++; k = maps; mapped[k] = true; version[k] = path; }
}

/* replace: what is at the path in place of c; stuck, if that cannot be done */
inline replace() {
	n = 0;
	do
	:: n < SLOTS -> release(n); n++
	:: else -> n = 0; break
	od;
	slot = 0;
	do /* claim */
	:: slot < SLOTS ->
		d_step {
			if
			:: state[slot] == FREE ->
				serials++; state[slot] = BUSY; serial[slot] = serials; own = serials; won = true
			:: else
			fi
		}
		if
		:: won -> break
		:: else -> slot++
		fi
	:: else -> break
	od;
	won = false;
	if
	:: slot < SLOTS ->
		map();
		d_step { base[slot] = k; map_of[own] = k; k = 0; }
		d_step { /* switch current */
			if
			:: IS_CURRENT(c, c_serial) -> current = slot; current_serial = own; won = true
			:: else
			fi
		}
		if
		:: won ->
			won = false;
			state[slot] = LIVE;
			if
			:: c != NONE -> release(c)
			:: else
			fi;
			release(slot)
		:: else -> mapped[base[slot]] = false; state[slot] = FREE
		fi
	:: else ->
#ifdef NO_GIVING_UP
		stuck = true
#else
		if
		:: c == NONE -> stuck = true
		:: else -> /* none is current */
			d_step {
				if
				:: IS_CURRENT(c, c_serial) -> serials++; current = NONE; current_serial = serials; won = true
				:: else
				fi
			}
			if
			:: won -> won = false; release(c)
			:: else
			fi
		fi
#endif
	fi;
	slot = 0; own = 0
}

inline leave() {
	count[c * STRIPES + id]--;
	if
	:: !IS_CURRENT(c, c_serial) -> release(c)
	:: else
	fi
}

/* What is read is mapped, and new enough. */
inline read() {
	assert(mapped[k]);
	assert(version[k] >= wanted);
	assert(mapped[k])
}

inline lookup(looks) {
	d_step {
		look = looks; stuck = false;
		if
		:: look -> wanted = path
		:: else -> wanted = 0
		fi
	}
	do
	:: d_step { c = current; c_serial = current_serial; }
		if
		:: c == NONE ->
			replace();
			if
			:: stuck -> /* it maps for itself */
				map();
				read();
				d_step { mapped[k] = false; k = 0; }
				break
			:: else
			fi
		:: else ->
			count[c * STRIPES + id]++;
#ifndef NO_RECHECK
			if
			:: IS_CURRENT(c, c_serial)
			:: else -> leave(); goto next
			fi;
#endif
			k = base[c];
			assert(k == map_of[c_serial] && mapped[k]);
			if
			:: look && !stuck && version[k] < path ->
				k = 0;
				replace();
#ifdef NO_LOOKING_AGAIN
				look = false;
#endif
				leave()
			:: else ->
				read();
				k = 0;
				if
				:: true -> leave()
#ifdef LOST
				:: true
#endif
				fi;
				break
			fi
		fi;
next:		skip
	od;
	skip; /* a break must not lead into a d_step */
	d_step { k = 0; c = 0; c_serial = 0; wanted = 0; look = false; stuck = false }
}

#define WORK \
	byte c, c_serial, k, n, slot, own, w_serial, wanted; \
	mtype w; \
	bool won, look, stuck; \
	do \
	:: blind > 0 -> blind--; lookup(false) \
	:: looking > 0 -> looking--; lookup(true) \
	:: blind + looking == 0 -> break \
	od; \
	done++

/* The threads of the process stop where they are when it has forked. */
proctype parent(byte id; byte blind; byte looking) provided (epoch == 1) { WORK }
proctype child(byte id; byte blind; byte looking) { WORK }

proctype writer() {
	do
	:: path <= REPLACED -> path++
	:: else -> break
	od
}

init {
	byte n;

	/* One file is current to begin with. */
	d_step {
		maps = 1; serials = 1; mapped[1] = true; version[1] = 1; map_of[1] = 1;
		state[0] = LIVE; serial[0] = 1; base[0] = 1; current = 0; current_serial = 1
	}
	atomic { run writer(); run parent(0, A); run parent(1, B); }
	if
	:: done == THREADS -> /* it did not fork */
#if !defined(LOST)
		n = 1;
		do
		:: n <= maps -> assert(!mapped[n] || (current != NONE && n == base[current])); n++
		:: else -> break
		od
#endif
#ifdef FORK
	:: atomic { true -> epoch = 2; done = 0; run child(0, C); run child(1, D); } /* it forks, now */
		done == THREADS
#endif
	fi
}
