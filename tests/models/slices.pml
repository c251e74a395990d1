/* Slices of one segment: c_src/core/segment.c (segment_take_from, hak_segment_give_mt, hak_segment_return_mt) and
 * c_src/core/purge.c (purge_segment).
 *
 *   users    take a run by compare-and-swap of xfree, write to it or not, mark it dirty, give it back by fetch-or
 *   purgers  take a dirty free run in the same way, have its pages made zero (or fail), clear its dirty bits, return it
 *
 * Claims: no slice is used by two; one that is said to be zero is zero; when all is quiet the number of dirty slices
 * (segment_xdirty) is that of the free slices with a dirty bit, so that the bound is kept on what there is.
 * Abstracted: three slices; the choice of a run is any run of free slices of that length; tags, hints and the other
 * counter are left out; memory is sequentially consistent (xfree releases and acquires everything else).
 *
 * Mutants: -DMUTANT=1 a purge does not take the slices out first; 2 giving back sets the dirty bits after xfree;
 *          3 a purge counts the slices that were dirty when it looked, not when it had them. */
#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef USERS
#define USERS 2
#endif
#ifndef PURGERS
#define PURGERS 1
#endif
#define PURGES 2 /* of each */

byte xfree = 7, xdirty;
short dirty_slices;
byte user[3];    /* ghost: who has the slice */
byte content;    /* ghost: slices that are not zero */
byte running = USERS + PURGERS;

#define BITS(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1))

inline hold(mask) {
  if :: mask & 1 -> assert(user[0] == 0); user[0] = _pid :: else fi;
  if :: mask & 2 -> assert(user[1] == 0); user[1] = _pid :: else fi;
  if :: mask & 4 -> assert(user[2] == 0); user[2] = _pid :: else fi
}

inline drop(mask) {
  if :: mask & 1 -> assert(user[0] == _pid); user[0] = 0 :: else fi;
  if :: mask & 2 -> assert(user[1] == _pid); user[1] = 0 :: else fi;
  if :: mask & 4 -> assert(user[2] == _pid); user[2] = 0 :: else fi
}

proctype use() {
  byte seen, these, dirty, round;
  bool zeroed;
  do
  :: atomic { round < 2 -> round++; seen = xfree };
     do /* segment_take_from */
     :: if
        :: seen & 1 -> these = 1
        :: seen & 2 -> these = 2
        :: seen & 4 -> these = 4
        :: (seen & 3) == 3 -> these = 3
        :: (seen & 6) == 6 -> these = 6
        :: seen == 0 -> these = 0; break
        fi;
        atomic {
          if
          :: xfree == seen -> xfree = xfree & (7 ^ these); hold(these); seen = 8
          :: else -> seen = xfree; these = 0
          fi
        };
        if
        :: seen == 8 -> break
        :: else
        fi
     od;
     if
     :: these != 0 ->
        atomic { dirty = xdirty & these; zeroed = dirty == 0 };
        dirty_slices = dirty_slices - BITS(dirty);
        atomic {
          assert(!zeroed || (content & these) == 0);
          if
          :: content = content | these
          :: skip
          fi
        };
        /* hak_segment_give_mt */
#if MUTANT != 2
        xdirty = xdirty | these;
#endif
        dirty_slices = dirty_slices + BITS(these);
        atomic { drop(these); xfree = xfree | these };
#if MUTANT == 2
        xdirty = xdirty | these;
#endif
     :: else
     fi;
     atomic { seen = 0; these = 0; dirty = 0; zeroed = false }
  :: round == 2 -> break
  od;
  running--
}

proctype purge() {
  byte seen, these, dirty, round;
  bool took;
  do
  :: atomic { round < PURGES -> round++; seen = xfree };
     dirty = seen & xdirty;
     if
     :: dirty == 0
     :: dirty != 0 ->
        if /* the lowest run */
        :: dirty & 1 -> these = (dirty == 7 -> 7 : ((dirty & 2) -> 3 : 1))
        :: !(dirty & 1) && dirty & 2 -> these = dirty & 6
        :: dirty == 4 -> these = 4
        fi;
        atomic {
          if
          :: xfree == seen ->
             took = true;
             if
             :: MUTANT != 1 -> xfree = xfree & (7 ^ these); hold(these)
             :: else
             fi
          :: else
          fi
        };
        if
        :: took ->
           if
           :: content = content & (7 ^ these);
#if MUTANT == 3
              dirty = these;
              xdirty = xdirty & (7 ^ these);
#else
              atomic { dirty = xdirty & these; xdirty = xdirty & (7 ^ these) }; /* of the fetch-and's result */
#endif
              dirty_slices = dirty_slices - BITS(dirty)
           :: skip /* madvise failed: dirty as before */
           fi;
           atomic {
             if
             :: MUTANT != 1 -> drop(these)
             :: else
             fi;
             xfree = xfree | these
           }
        :: else
        fi
     fi;
     atomic { seen = 0; these = 0; dirty = 0; took = false }
  :: round == PURGES -> break
  od;
  running--
}

init {
  byte i;
  atomic {
    do
    :: i < USERS -> run use(); i++
    :: else -> break
    od;
    do
    :: i < USERS + PURGERS -> run purge(); i++
    :: else -> break
    od
  };
  running == 0;
  assert(xfree == 7 && dirty_slices == BITS(xdirty))
}
