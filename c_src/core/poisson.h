/* The arithmetic of sampling by bytes: a Poisson process along the bytes that a thread allocates. Pure, and without the C
 * library's mathematics, which is a library of its own.
 *
 * The bytes between two events are drawn from the exponential distribution with the given mean, so each byte is as likely to
 * have an event as any other, whatever came before. A block is sampled if one of its bytes has an event: a block of n bytes
 * with the probability p = 1 - exp(-n / mean). It then stands for 1 / p blocks, itself among them, which makes the sums over
 * samples unbiased estimates of the sums over all blocks (Horvitz and Thompson, "A generalization of sampling without
 * replacement from a finite universe", JASA 47, 1952). tcmalloc and jemalloc sample in this way: docs/sampling.md of the
 * one, doc_internal/PROFILING_INTERNALS.md of the other. */
#ifndef HAK_CORE_POISSON_H
#define HAK_CORE_POISSON_H

#include "base/attr.h"

/* The next number of a generator (splitmix64: Steele, Lea, Flood 2014), of 64 random bits. */
HAK_HIDDEN uint64_t hak_poisson_random(uint64_t *state);

/* The whole bytes before the next event, drawn with 53 of the random bits; 37 times the mean at most. */
HAK_HIDDEN uint64_t hak_poisson_interval(uint64_t random, uint64_t mean);

/* How many blocks of so many bytes (at least 1) a sampled one stands for. */
HAK_HIDDEN double hak_poisson_weight(uint64_t bytes, uint64_t mean);

#endif
