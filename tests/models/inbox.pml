/* The inbox of a heap: c_src/core/remote.c (remote_push_mt, remote_help, hak_remote_drain).
 *
 *   posters   push a chain on the inbox word by compare-and-swap: a count of posts and the first block in one word
 *   owner     takes the whole chain by exchange, a bounded number of blocks at a time; the rest stays in `pending`
 *   helpers   posters whose post is the HELP-th since the last exchange: drain for the owner, inside its guard
 *
 * Claims: no block is lost, none is delivered twice, also when delivered blocks are allocated and freed again at once.
 * Abstracted: the guard is a flag that one process holds (guard.pml is about it); blocks are numbers and `next` an array;
 * memory is sequentially consistent, as all shared steps are read-modify-writes of one word, by release and acquire.
 *
 * Mutants: -DMUTANT=1 takes the chain by a load and a store instead of an exchange;
 *          -DMUTANT=2 forgets what is pending when it takes the next chain. */
#ifndef MUTANT
#define MUTANT 0
#endif
#define BLOCKS 6 /* numbered from 1; 0 is NULL */
#define HELP 2   /* HAK_HELP_POSTS */
#define DRAIN 1  /* HAK_DRAIN_BLOCKS */

mtype = { OUT, QUEUED, SLAB };
mtype where[BLOCKS + 1] = OUT;
byte next[BLOCKS + 1];

byte inbox_first, inbox_posts; /* one word: touched together, in one step */
byte pending;
bool claimed;                  /* the guard */
byte again;                    /* a delivered block that the owner handed to a poster; 255: was taken */
byte posters_left = 3;

/* c_src/core/remote.c, hak_remote_drain: at most `limit` blocks; inside the guard. */
inline drain(limit) {
  left = limit;
  do
  :: left == 0 -> break
  :: left > 0 ->
     if
     :: pending == 0 || MUTANT == 2 ->
        if
        :: inbox_first == 0 -> /* the relaxed look before the exchange */
           if
           :: pending == 0 -> break
           :: else
           fi
        :: else ->
#if MUTANT == 1
           pending = inbox_first;
           atomic { inbox_first = 0; inbox_posts = 0 }
#else
           atomic { pending = inbox_first; inbox_first = 0; inbox_posts = 0 }
#endif
        fi
     :: else
     fi;
     got = pending;
     pending = next[got];
     atomic { assert(where[got] == QUEUED); where[got] = SLAB; got = 0 };
     left--
  od
}

/* remote_push_mt of the chain first .. last. */
inline push(first, last) {
  atomic { seen_first = inbox_first; seen_posts = inbox_posts };
  do
  :: next[last] = seen_first;
     atomic {
       if
       :: inbox_first == seen_first && inbox_posts == seen_posts ->
          inbox_first = first; inbox_posts = seen_posts + 1; pushed = true
       :: else -> seen_first = inbox_first; seen_posts = inbox_posts; pushed = false
       fi
     };
     if
     :: pushed -> break
     :: else
     fi
  od;
  if
  :: (seen_posts + 1) % HELP == 0 ->
     atomic { /* hak_guard_claim_mt: a try */
       if
       :: !claimed -> claimed = true; pushed = true
       :: else -> pushed = false
       fi
     };
     if
     :: pushed -> drain(BLOCKS + 1); claimed = false
     :: else
     fi
  :: else
  fi;
  seen_first = 0; seen_posts = 0; pushed = false
}

proctype poster(byte id) {
  byte seen_first, seen_posts, left, got;
  bool pushed;
  if
  :: id == 0 -> /* a chain of two */
     atomic { where[1] = QUEUED; where[2] = QUEUED; next[1] = 2 };
     push(1, 2)
  :: id == 1 -> /* one, and one */
     where[3] = QUEUED; push(3, 3);
     where[4] = QUEUED; push(4, 4)
  :: id == 2 -> /* a block that was delivered and allocated again, perhaps the one somebody just saw on top */
     atomic { again != 0 -> got = again; again = 255; assert(where[got] == OUT); where[got] = QUEUED };
     left = got; got = 0;
     push(left, left)
  fi;
  posters_left--
}

proctype owner() {
  byte left, got, b;
  do
  :: atomic { !claimed -> claimed = true }; /* hak_guard_enter, which waits */
     drain(DRAIN);
     if
     :: again == 0 -> /* allocate a delivered block and hand it over */
        b = 1;
        do
        :: b <= BLOCKS && where[b] == SLAB -> atomic { where[b] = OUT; again = b }; break
        :: b <= BLOCKS && where[b] != SLAB -> b++
        :: b > BLOCKS -> break
        od;
        b = 0
     :: else
     fi;
     claimed = false;
     if
     :: posters_left == 0 -> break
     :: else
     fi
  od;
  atomic { !claimed -> claimed = true };
  drain(BLOCKS + 1);
  claimed = false;
  d_step {
    assert(inbox_first == 0 && pending == 0);
    b = 1;
    do
    :: b <= 4 -> assert(where[b] == SLAB); b++
    :: else -> break
    od
  }
}

init { atomic { run poster(0); run poster(1); run poster(2); run owner() } }
