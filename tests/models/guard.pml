/* The guard of a heap's slow paths: c_src/core/guard.{h,c}; parking and adoption: c_src/core/registry.c; fork:
 * c_src/heap/fork.c.
 *
 *   threads    own the heap one after the other: slow paths between hak_guard_enter and _leave, park it, adopt it
 *   claimer    hak_guard_claim_mt and _release_mt, twice; another one the same for the forking thread's own heap
 *   forker     hak_guard_claim_others_mt, fork, hak_guard_release_others_mt
 *
 * Claims: nobody but one is at the slabs at a time; no change to them is lost; no owner waits for ever (no lost wake-up:
 * it would be an invalid end state); at the moment of fork nobody is at the slabs of any heap, and in the child no heap
 * looks busy or claimed by a thread that the child does not have.
 *
 * Memory: each thread's plain and release stores (xbusy, the slabs, xstate where it is relaxed) go through a store buffer,
 * a FIFO that is emptied by somebody else at any time; read-modify-writes and seq_cst stores wait until it is empty; loads
 * see memory, and the thread its own stores. That is TSO (x86). membarrier waits until the buffers of all others are empty.
 * On aarch64 more is allowed by the processor; there the acquires and releases that the code names do what TSO does here.
 * Abstracted: `slabs` is a counter that every visit increments; the stack of parked heaps is xstate and a flag for one
 * heap; the futex compares and sleeps in one step, as the kernel promises.
 *
 * Mutants: -DMUTANT=1 the claimer makes no membarrier;   2 the adopter's store of xstate is relaxed, without a fence;
 *          3 release looks for a waiter first and then stores; 4 the child leaves xbusy as it was at the fork;
 *          5 the child leaves the claim of the forking thread's own heap as it was. */
#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef FORK
#define FORK 0 /* whether there is a forker */
#endif
#define DEPTH 3  /* of a store buffer */
#define VISITS 2 /* slow paths between adoption and parking, at most */
#define TOURS (2 - FORK) /* so often a thread owns the heap, at most */

mtype = { BUSY, SLABS, STATE };
mtype:claim = { FREE, CLAIMED, AWAITED };

/* Memory. */
bool xbusy;
byte slabs;
bool active_word; /* xstate == ACTIVE */
mtype:claim xclaim = FREE;
bool on_stack;
bool xforking;
bool xclaim_mine; /* of the forking thread's own heap, which it does not use meanwhile */

chan buffer[2] = [DEPTH] of { mtype, byte };
byte unseen[2]; /* stores to `slabs` in a thread's buffer, and */
byte newest[2]; /* the last of them, which it reads itself */

/* Ghosts. */
byte inside;  /* processes at the slabs */
byte inside_mine;
byte visits;  /* of all */
bool sleeping[2];

inline flush_one(t) {
  buffer[t] ? where, value;
  if
  :: where == BUSY -> xbusy = value
  :: where == SLABS -> slabs = value; unseen[t]--
  :: where == STATE -> active_word = value
  fi;
  where = 0; value = 0
}

/* The processor: a store leaves its buffer. */
proctype flusher(byte t) {
  mtype where;
  byte value;
end:
  do
  :: atomic { nempty(buffer[t]) -> flush_one(t) }
  od
}

/* A change of the slabs by a thread with a buffer: not in one step, so that it can be lost. */
inline visit_buffered(t) {
  inside++;
  assert(inside == 1);
  if
  :: unseen[t] != 0 -> seen = newest[t]
  :: else -> seen = slabs
  fi;
  atomic { nfull(buffer[t]) -> newest[t] = seen + 1; unseen[t]++; buffer[t] ! SLABS, seen + 1; visits++; seen = 0 };
  inside--
}

/* Wait until all stores of this thread are in memory: a locked instruction. */
#define DRAINED(t) empty(buffer[t])

proctype thread(byte t; bool has_heap) {
  byte seen, visit, tours;
  bool sleeps;
  do
  :: !has_heap ->
     if
     :: atomic { tours < TOURS && DRAINED(t) && on_stack -> on_stack = false; has_heap = true }; /* registry_pop */
#if MUTANT == 2
        atomic { nfull(buffer[t]) -> buffer[t] ! STATE, 1 }
#else
        atomic { DRAINED(t) -> active_word = true } /* seq_cst store and fence */
#endif
     :: true -> break /* the thread ends, or there was none */
     fi
  :: has_heap ->
     visit = 0;
     do
     :: visit < VISITS ->
        /* hak_guard_enter */
        atomic { nfull(buffer[t]) -> buffer[t] ! BUSY, 1 };
        if
        :: xclaim == FREE -> skip
        :: xclaim != FREE ->
           do /* hak_guard_wait */
           :: atomic { nfull(buffer[t]) -> buffer[t] ! BUSY, 0 };
              atomic {
                DRAINED(t) ->
                if
                :: xclaim == CLAIMED -> xclaim = AWAITED; sleeps = true
                :: xclaim == AWAITED -> sleeps = true
                :: xclaim == FREE -> sleeps = false
                fi
              };
              if
              :: sleeps ->
                 atomic {
                   if
                   :: xclaim == AWAITED -> sleeping[t] = true
                   :: else
                   fi;
                   sleeps = false
                 };
                 !sleeping[t]
              :: else
              fi;
              atomic { nfull(buffer[t]) -> buffer[t] ! BUSY, 1 };
              if
              :: xclaim == FREE -> break
              :: xclaim != FREE -> skip
              fi
           od
        fi;
        visit_buffered(t);
        atomic { nfull(buffer[t]) -> buffer[t] ! BUSY, 0 }; /* hak_guard_leave */
        visit++
     :: visit == VISITS -> break
     :: visit > 0 -> break
     od;
     visit = 0;
     /* hak_registry_park_mt */
     atomic { DRAINED(t) -> active_word = false };
     atomic { has_heap = false; on_stack = true; tours++ }
  od;
  DRAINED(t)
}

inline membarrier() {
  if
  :: MUTANT != 1 ->
     /* one after the other, as the kernel does it */
     empty(buffer[0]);
     empty(buffer[1])
  :: else
  fi
}

inline wake() {
  d_step { sleeping[0] = false; sleeping[1] = false }
}

inline release() {
#if MUTANT == 3
  awaited = xclaim == AWAITED;
  xclaim = FREE;
#else
  atomic { awaited = xclaim == AWAITED; xclaim = FREE };
#endif
  if
  :: awaited -> wake()
  :: else
  fi;
  awaited = false
}

proctype claimer() {
  byte rounds, seen;
  bool idle, awaited;
  do
  :: rounds < 2 ->
     rounds++;
     if
     :: atomic { xclaim == FREE -> xclaim = CLAIMED };
        /* guard_is_idle */
        if
        :: xforking -> idle = false
        :: else ->
           if
           :: !active_word -> idle = true
           :: active_word -> membarrier(); idle = !xbusy
           fi
        fi;
        if
        :: idle ->
           inside++;
           assert(inside == 1);
           seen = slabs;
           atomic { slabs = seen + 1; visits++; seen = 0 };
           inside--
        :: else
        fi;
        release()
     :: xclaim != FREE -> skip
     fi;
     idle = false
  :: else -> break
  od
}

/* Of the forking thread's own heap, of which the thread is in no slow path. */
proctype claimer_of_mine() {
  atomic {
    if
    :: !xclaim_mine -> xclaim_mine = true
    :: else -> goto done
    fi
  };
  if
  :: xforking -> skip
  :: else -> inside_mine++; inside_mine--
  fi;
  xclaim_mine = false;
done:
  skip
}

proctype forker() {
  bool awaited, child_busy, child_claim;
  xforking = true;
  atomic { xclaim == FREE -> xclaim = CLAIMED }; /* waits for claimers */
  !xclaim_mine;
  membarrier();
  !xbusy;
  /* fork: the child has memory as it is now; what other threads have in store buffers is theirs alone */
  atomic {
    assert(inside == 0 && slabs == visits && unseen[0] == 0 && unseen[1] == 0 && inside_mine == 0);
    child_busy = xbusy;
    child_claim = xclaim_mine;
#if MUTANT != 4
    child_busy = false; /* an owner that is about to wait shows itself for a moment */
#endif
#if MUTANT != 5
    child_claim = false; /* a claimer that is about to see xforking too */
#endif
    assert(!child_busy && !child_claim);
    child_busy = false; child_claim = false
  };
  release();
  xforking = false
}

init {
  atomic {
    active_word = true;
    run flusher(0);
    run flusher(1);
    run thread(0, true);
    run thread(1, false);
    run claimer();
#if FORK
    run claimer_of_mine();
    run forker();
#endif
    skip
  }
  /* all of them but the flushers and init are over */
  _nr_pr == 3 -> assert(slabs == visits && inside == 0 && !xbusy)
}
