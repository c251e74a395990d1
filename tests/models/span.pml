/* Spans: c_src/core/span.c (span_give, span_take, span_new, hak_span_resize_mt, hak_span_purge_mt) on the cell of one slice.
 *
 *   a span of class A has blocks 0 and 1, or 0, 1 and 2: its shape says so; of class B it has blocks 0 and 1, of classes D and
 *   E block 0 alone
 *   threads refill a class (fetch-and of chosen bits, the class looked at before and after), make a span of it when the
 *   slices are free, give blocks back (fetch-or; full -> 0 by compare-and-swap releases the span), make a span of one block
 *   that they hold one of the other such class, or purge: take all there is, whatever its class, and give it back
 *
 * Claims: no block is handed out twice; a block taken for a class is of that class; slices are given back only when
 * nobody holds a block of the span, and once; when all blocks are back, the span is released.
 * Abstracted: the cell's other fields follow from the shape; a thread goes on with the span it found in xspans at any
 * time later, as a late taker does; hints and tags are left out (hints.pml); memory is sequentially consistent, as
 * xmask orders everything else (release by its fetch-or or store, acquire by the fetch-and or compare-and-swap).
 *
 * Mutants: -DMUTANT=1 no second look at the class after the fetch-and;   2 release by a store of 0, not compare-and-swap;
 *          3 the shape is not looked at again after full -> 0;                   4 a span of which others may hold blocks is made one of
 *          another class. */
#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef THREADS
#define THREADS 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif

/* Shapes: A of two blocks 1, B 2, A of three blocks 3, D 4, E 5. */
#define FULL(s) ((s) == 3 -> 7 : ((s) >= 4 -> 1 : 3))
#define CLASS(s) ((s) == 3 -> 1 : (s))

byte xmask, xshape;
bool xspan;              /* the bit in the segment's xspans */
bool xfree = true;       /* the slices, in the segment's xfree */
byte holder[3];          /* ghost: which thread has the block */
byte running = THREADS;

/* Bookkeeping when a thread takes or returns blocks: the assertions of this model. */
inline hold(mask, s) {
  assert(!xfree && xshape == s && (mask & ~FULL(s)) == 0);
  assert(!(mask & 1) || holder[0] == 0);
  assert(!(mask & 2) || holder[1] == 0);
  assert(!(mask & 4) || holder[2] == 0);
  if :: mask & 1 -> holder[0] = _pid :: else fi;
  if :: mask & 2 -> holder[1] = _pid :: else fi;
  if :: mask & 4 -> holder[2] = _pid :: else fi
}

inline drop(mask) {
  if :: mask & 1 -> assert(holder[0] == _pid); holder[0] = 0 :: else fi;
  if :: mask & 2 -> assert(holder[1] == _pid); holder[1] = 0 :: else fi;
  if :: mask & 4 -> assert(holder[2] == _pid); holder[2] = 0 :: else fi
}

/* span_give of `blocks`, which the thread holds. Its recursion, for a remade span, is the loop. */
inline give(blocks) {
  do
  :: whole = FULL(xshape); /* we hold a block, so the shape cannot change */
     atomic { drop(blocks); before = xmask; xmask = xmask | blocks };
     assert((before & blocks) == 0);
     if
     :: (before | blocks) != whole -> break
     :: else
     fi;
#if MUTANT == 2
     swapped = true;
     atomic { xmask = 0; hold(whole, xshape) };
#else
     atomic {
       if
       :: xmask == whole -> xmask = 0; swapped = true
       :: else -> swapped = false
       fi
     };
#endif
     if
     :: !swapped -> break
     :: else
     fi;
#if MUTANT != 2
     atomic { hold(whole, xshape) };
#endif
     if
     :: MUTANT != 3 && FULL(xshape) != whole -> blocks = whole
     :: else ->
        xspan = false;
        atomic { drop(whole); assert(holder[0] == 0 && holder[1] == 0 && holder[2] == 0 && !xfree); xfree = true };
        break
     fi
  od;
  blocks = 0; whole = 0; before = 0; swapped = false
}

proctype thread() {
  byte mine, class, choice, mask, before, whole, round;
  bool swapped;
  do
  :: round < ROUNDS ->
     round++;
     if
     :: mine == 0 && xspan -> /* hak_span_refill from a span that is there, span_take */
        select(class : 1 .. 5);
        class = CLASS(class);
        mask = xmask;
        do
        :: mask == 0 -> break
        :: mask != 0 && CLASS(xshape) != class -> break
        :: else ->
           if /* span_lowest, of all or of one */
           :: choice = mask
           :: choice = (mask & 1 -> 1 : (mask & 2 -> 2 : 4))
           fi;
           atomic {
             before = xmask;
             xmask = xmask & (7 ^ choice);
             mine = before & choice;
             choice = 0;
             if /* held for whatever class it is; the class asked for is asserted below */
             :: mine != 0 -> hold(mine, xshape)
             :: else
             fi
           };
           if
           :: mine != 0 && (MUTANT == 1 || CLASS(xshape) == class) -> assert(CLASS(xshape) == class); break
           :: mine != 0 && MUTANT != 1 && CLASS(xshape) != class -> give(mine); break
           :: mine == 0 -> mask = before
           fi
        od
     :: mine == 0 && xfree -> /* span_new; class is the shape here */
        select(class : 1 .. 5);
        atomic {
          if
          :: xfree -> xfree = false; swapped = true
          :: else
          fi
        };
        if
        :: swapped ->
           xshape = class;
           if
           :: mine = FULL(class)
           :: mine = 1
           fi;
           atomic { assert(xmask == 0); hold(mine, class); xmask = FULL(class) & (7 ^ mine) };
           xspan = true;
           swapped = false
        :: else
        fi
     :: mine == 0 && xspan -> /* hak_span_purge_mt */
        atomic {
          mine = xmask;
          xmask = 0;
          if
          :: mine != 0 -> hold(mine, xshape)
          :: else
          fi
        }
     :: mine != 0 && (FULL(xshape) == 1 || MUTANT == 4) -> /* hak_span_resize_mt */
        xshape = (xshape == 4 -> 5 : 4)
     :: mine != 0 -> /* spill all or one of them */
        if
        :: mask = mine; mine = 0; give(mask)
        :: mine & 1 && mine != 1 -> mask = 1; mine = mine & 6; give(mask)
        fi
     :: mine == 0 && !xspan && !xfree -> skip
     fi;
     class = 0; mask = 0; before = 0
  :: mine != 0 -> mask = mine; mine = 0; give(mask); round = ROUNDS
  :: round == ROUNDS && mine == 0 -> break
  od;
  atomic {
    running--;
    if
    :: running == 0 -> assert(xfree && xmask == 0 && !xspan)
    :: else
    fi
  }
}

init {
  byte i;
  atomic {
    do
    :: i < THREADS -> run thread(); i++
    :: else -> break
    od
  }
}
