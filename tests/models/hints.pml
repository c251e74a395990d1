/* Hints: c_src/core/hints.{h,c}; the setters are span_give and span_new (c_src/core/span.c), the finder is
 * hak_span_refill. Slices have the same protocol (hak_segment_return_mt, segment_search in c_src/core/segment.c).
 *
 *   setter   makes blocks available, then sets the hint if it is clear
 *   finder   follows a hint; when it finds nothing, clears the hint, then looks once more, and sets it again if there was
 *            something; what it took it gives back (it is a setter then)
 *
 * One segment, two spans under one hint; span 1 becomes visible (xspans) only after its bitmap is filled.
 * Claim: when all is quiet, blocks in a visible span imply that the hint is set.
 * Memory is sequentially consistent, which is what the code asks for. Mutants 3 and 4 put one kind of step into a store
 * buffer: without seq_cst, others may see a step later than its thread has done its next load.
 * Abstracted: a bitmap is a number of blocks; taking is one step, since span.pml is about it.
 *
 * Mutants: -DMUTANT=1 the finder clears after the second look;           2 the setter sets the hint before its change;
 *          3 the setter's change is not seq_cst; 4 the finder's clear is not ordered before its second look (as when
 *          xspans is read by acquire alone). */
#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef FINDERS
#define FINDERS 2
#endif

byte blocks[2];
bool xspans[2];
bool hint;
byte running = FINDERS + 2;

/* Store buffers: what a thread did and others do not see yet. */
byte late_blocks; /* of span 0, by setters (MUTANT 3) */
byte late_clears; /* by finders (MUTANT 4) */

proctype memory() {
end:
  do
  :: atomic { late_blocks != 0 -> blocks[0] = blocks[0] + late_blocks; late_blocks = 0 }
  :: atomic { late_clears != 0 -> hint = false; late_clears-- }
  od
}

/* hak_hint_set */
inline set_hint() {
  if
  :: hint -> skip
  :: !hint -> hint = true
  fi
}

/* span_give of one block to span s: the hint is set by whoever made it non-empty. */
inline give(s) {
#if MUTANT == 2
  set_hint();
  atomic { blocks[s] = blocks[s] + 1 };
#else
#if MUTANT == 3
  atomic {
    if
    :: s == 0 -> first = blocks[0] + late_blocks == 0; late_blocks++
    :: else -> first = blocks[s] == 0; blocks[s] = blocks[s] + 1
    fi
  };
#else
  atomic { first = blocks[s] == 0; blocks[s] = blocks[s] + 1 };
#endif
  if
  :: first -> set_hint()
  :: else
  fi;
  first = false;
#endif
}

/* span_take_from_segment: the spans that were visible when it began, one after the other; takes one block or all. */
inline look() {
  atomic { seen[0] = xspans[0]; seen[1] = xspans[1] };
  s = 0;
  do
  :: s < 2 && seen[s] && blocks[s] != 0 ->
     atomic {
       if
       :: blocks[s] != 0 -> got = blocks[s]; blocks[s] = 0
       :: blocks[s] != 0 -> got = 1; blocks[s] = blocks[s] - 1
       :: blocks[s] == 0 -> skip
       fi
     };
     if
     :: got != 0 -> break
     :: else -> s++
     fi
  :: s < 2 && !(seen[s] && blocks[s] != 0) -> s++
  :: s == 2 -> break
  od
}

proctype finder() {
  byte s, got, round;
  bool first;
  bool seen[2];
  do
  :: round < 2 && hint ->
     round++;
     look();
     if
     :: got == 0 ->
#if MUTANT == 1
        look();
        if
        :: got == 0 -> hint = false
        :: else
        fi
#else
#if MUTANT == 4
        late_clears++;
#else
        hint = false;
#endif
        look();
        if
        :: got != 0 ->
           late_clears == 0; /* of mutant 4: a thread sees its own steps in order */
           set_hint()
        :: else
        fi
#endif
     :: else
     fi;
     if /* gives back one of what it got, or keeps it all */
     :: got != 0 -> give(s)
     :: true
     fi;
     got = 0; s = 0
  :: true -> break
  od;
  running--
}

proctype giver() {
  bool first;
  give(0);
  give(0);
  running--
}

proctype maker() {
  bool first;
#if MUTANT == 2
  set_hint();
  blocks[1] = 1;
  xspans[1] = true;
#else
  blocks[1] = 1;
  xspans[1] = true;
  set_hint();
#endif
  running--
}

init {
  byte i;
  atomic {
    xspans[0] = true;
    hint = true; /* left from before: nothing is there */
    do
    :: i < FINDERS -> run finder(); i++
    :: else -> break
    od;
    run giver();
    run maker();
    run memory()
  };
  running == 0 && late_blocks == 0 && late_clears == 0;
  assert(hint || (blocks[0] == 0 && blocks[1] == 0))
}
