/* The stack of parked heaps: c_src/core/registry.c (registry_push, registry_pop).
 *
 * Treiber's stack of heap ids whose top word has a generation that every push and pop counts up. Three threads adopt (or
 * make) heaps and park them again.
 * Claims: a heap is never adopted by two threads; none is lost: at the end every heap is on the stack exactly once.
 * Abstracted: the generation does not wrap (32 bits in the code, wider here than the number of steps); memory is
 * sequentially consistent: xnext_parked is published by the release of the push and read after the acquire of the top.
 *
 * Mutant: -DMUTANT=1 leaves the generation as it is. */
#ifndef MUTANT
#define MUTANT 0
#endif
#define THREADS 3
#define ROUNDS 2
#define HEAPS (2 + THREADS) /* two parked at the start, and one more for each thread that finds none */

byte top_id = 2, top_generation;
byte next[HEAPS + 1]; /* xnext_parked: 2 -> 1 -> 0 */
byte owner[HEAPS + 1];
byte made = 2;
byte done;

inline pop() {
  atomic { id = top_id; generation = top_generation };
  do
  :: id == 0 -> break
  :: id != 0 ->
     below = next[id];
     atomic {
       if
       :: top_id == id && top_generation == generation ->
          top_id = below;
          if
          :: MUTANT == 0 -> top_generation = generation + 1
          :: else
          fi;
          popped = true
       :: else -> id = top_id; generation = top_generation
       fi
     };
     if
     :: popped -> break
     :: else
     fi
  od;
  popped = false; below = 0; generation = 0
}

inline push(h) {
  atomic { below = top_id; generation = top_generation };
  do
  :: next[h] = below;
     atomic {
       if
       :: top_id == below && top_generation == generation ->
          top_id = h;
          if
          :: MUTANT == 0 -> top_generation = generation + 1
          :: else
          fi;
          popped = true
       :: else -> below = top_id; generation = top_generation
       fi
     };
     if
     :: popped -> break
     :: else
     fi
  od;
  popped = false; below = 0; generation = 0
}

proctype thread() {
  byte id, below, generation, round;
  bool popped;
  do
  :: round < ROUNDS ->
     pop();
     atomic {
       if
       :: id == 0 -> /* hak_registry_create_mt */
          if
          :: made < HEAPS -> made++; id = made
          :: else
          fi
       :: else
       fi;
       if
       :: id != 0 -> assert(owner[id] == 0); owner[id] = _pid + 1
       :: else
       fi
     };
     if
     :: id != 0 ->
        atomic { assert(owner[id] == _pid + 1); owner[id] = 0 };
        push(id)
     :: else
     fi;
     id = 0;
     round++
  :: else -> break
  od;
  atomic {
    done++;
    if
    :: done == THREADS ->
       /* walk the stack: it has every heap that was made, once */
       id = top_id;
       do
       :: id != 0 -> below++; assert(below <= made && owner[id] == 0); owner[id] = 255; id = next[id]
       :: else -> break
       od;
       assert(below == made)
    :: else
    fi
  }
}

init { atomic { next[2] = 1; run thread(); run thread(); run thread() } }
