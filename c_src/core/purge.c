#include "core/purge.h"

#include "base/check.h"
#include "core/hints.h"
#include "core/limit.h"
#include "core/options.h"
#include "core/segment.h"
#include "core/span.h"

static _Atomic uint64_t purge_xbytes;
static _Atomic uint32_t purge_xhand;    /* the segment to look at next when the bound is exceeded, */
static _Atomic uint32_t purge_xold;     /* and when it is about age */
static _Atomic int64_t purge_xregret;   /* slices by which the bound is raised: purged because of it and used again; */
static _Atomic int64_t purge_xpeak;     /* but by no more than were lately in use */
static _Atomic uint64_t purge_xlook_ms; /* when hak_purge_old_mt looks at the segments again, */
static _Atomic uint64_t purge_xwear_ms; /* and when the regret wears off a little */

_Atomic uint32_t hak_purge_xsleeper;

void hak_purge_wake_mt(void) {
  uint32_t asleep = HAK_SLEEPER_ASLEEP;
  if (hak_cas_seq(&hak_purge_xsleeper, &asleep, HAK_SLEEPER_AWAKE)) hak_os_wake(&hak_purge_xsleeper);
}

_Atomic(uint64_t) *hak_purge_bytes(void) { return &purge_xbytes; }

/* What one slow path may still do: a call takes a microsecond, and a slice of resident pages 3 to 5 more. */
typedef struct {
  unsigned calls, slices;
} purge_budget_t;

static bool purge_is_spent(const purge_budget_t *budget) { return budget->calls == 0 || budget->slices == 0; }

/* The run with the free slices beside it that were never used: where huge pages are on, a neighbour's first use made those
 * resident, too, and where not, it costs nothing. */
static uint64_t purge_with_neighbours(uint64_t free, uint64_t dirty, uint64_t run) {
  uint64_t clean = free & ~dirty;
  for (uint64_t more = run; (more = (run << 1 | run >> 1) & clean & ~run) != 0;) run |= more;
  return run;
}

/* Purges free dirty slices of one segment within the budget, which it counts down; `early` if only the bound asks for it.
 * The slices are taken out of xfree first, as an allocation would, so nobody uses them meanwhile; a slice whose purge
 * failed stays dirty. */
static void purge_segment(hak_segment_t *segment, purge_budget_t *budget, bool early) {
  while (!purge_is_spent(budget)) {
    uint64_t free = hak_load_relaxed(&segment->xfree);
    uint64_t wanted = free & hak_load_relaxed(&segment->xdirty);
    if (wanted == 0) return;
    unsigned first = hak_lowest_bit(wanted);
    uint64_t beyond = ~(wanted >> first); /* has a set bit: slice 0 is never free */
    unsigned slices = hak_lowest_bit(beyond);
    if (slices > budget->slices) slices = budget->slices;
    uint64_t dirty_run = hak_slices_mask(first, slices), run = purge_with_neighbours(free, wanted, dirty_run);
    /* acq_rel as in hak_segment_take_mt */
    if (!hak_cas_acq_rel(&segment->xfree, &free, free & ~run)) continue;
    budget->calls--;
    if ((hak_load_relaxed(&segment->xdirty) & run) == 0) { /* others purged it between our look and our claim */
      hak_segment_return_mt(segment, run);
      continue;
    }
    bool done = hak_os_purge(segment->base + (size_t)hak_lowest_bit(run) * HAK_SLICE_BYTES,
                             (size_t)hak_count_bits(run) * HAK_SLICE_BYTES);
    if (done) {
      budget->slices -= slices;
      uint64_t dirty = hak_and_relaxed(&segment->xdirty, ~run) & run;
      (void)hak_sub_relaxed(hak_segment_dirty_slices(), (int64_t)hak_count_bits(dirty));
      hak_limit_give_mt(hak_count_bits(dirty) * HAK_SLICE_BYTES);
      (void)hak_add_relaxed(&purge_xbytes, (uint64_t)slices * HAK_SLICE_BYTES);
      if (early) (void)hak_or_relaxed(&segment->xpurged, dirty_run);
    } else {
      hak_log(HAK_LOG_PURGE, "[PURGE] madvise FAILED: segment=%u, slices=%u", segment->index, slices);
    }
    hak_segment_return_mt(segment, run);
    if (!done) return; /* locked pages, say: other segments may have none */
  }
}

static bool purge_is_old(const hak_segment_t *segment, uint64_t now_ms) {
  /* signed: another thread may have read the clock after us */
  return (int64_t)(now_ms - hak_load_relaxed(&segment->xfreed_ms)) >= hak_options.purge_delay_ms;
}

/* How much more was lately wanted back than there was. */
static int64_t purge_wanted_slices(void) {
  int64_t regret = hak_load_relaxed(&purge_xregret), peak = hak_load_relaxed(&purge_xpeak);
  return regret < peak ? regret : peak;
}

static int64_t purge_bound_slices(void) {
  int64_t fixed = hak_options.dirty_kib * (int64_t)HAK_KIB / (int64_t)HAK_SLICE_BYTES;
  int64_t share = hak_load_relaxed(hak_segment_active_slices()) * hak_options.dirty_percent / 100;
  return (fixed > share ? fixed : share) + purge_wanted_slices();
}

void hak_purge_regret_mt(unsigned slices) {
  if (hak_load_relaxed(&purge_xregret) >= hak_load_relaxed(&purge_xpeak)) return; /* more would only wear off later */
  (void)hak_add_relaxed(&purge_xregret, (int64_t)slices * HAK_REGRET_FACTOR);
}

/* Purges what is found next within the budget, only for a bound's sake. */
static void purge_some(purge_budget_t budget) {
  uint32_t count = hak_segment_count_mt(), most = count < HAK_PURGE_SEGMENTS ? count : HAK_PURGE_SEGMENTS;
  uint32_t hand = hak_load_relaxed(&purge_xhand);
  for (uint32_t seen = 0; seen < most && !purge_is_spent(&budget); seen++, hand++) {
    if (hand >= count) hand = 0;
    purge_segment(hak_segment_at_mt(hand), &budget, true);
  }
  /* The last one may have more. */
  hak_store_relaxed(&purge_xhand, purge_is_spent(&budget) && hand != 0 ? hand - 1 : hand);
}

static void purge_note_peak(void) {
  int64_t active = hak_load_relaxed(hak_segment_active_slices());
  if (active > hak_load_relaxed(&purge_xpeak)) hak_store_relaxed(&purge_xpeak, active);
}

void hak_purge_bound_mt(unsigned given) {
  purge_note_peak();
  if (HAK_LIKELY(hak_load_relaxed(hak_segment_dirty_slices()) <= purge_bound_slices())) return;
  purge_some((purge_budget_t){HAK_PURGE_CALLS, given + HAK_PURGE_SLICES});
}

size_t hak_purge_trade_mt(size_t bytes) {
  purge_note_peak();
  int64_t before = hak_load_relaxed(hak_segment_dirty_slices()), free = before - purge_wanted_slices();
  if (free <= 0) return 0;
  size_t slices = (bytes + HAK_SLICE_BYTES - 1) / HAK_SLICE_BYTES;
  if (slices > (size_t)free) slices = (size_t)free;
  purge_some((purge_budget_t){HAK_PURGE_CALLS, (unsigned)slices});
  int64_t purged = before - hak_load_relaxed(hak_segment_dirty_slices()); /* others may have had a part in it */
  return purged > 0 ? (size_t)purged * HAK_SLICE_BYTES : 0;
}

size_t hak_purge_fresh_mt(void) {
  int64_t fresh = hak_load_relaxed(hak_segment_fresh_slices());
  if (HAK_LIKELY(fresh < HAK_TRADE_SLICES)) return 0;
  int64_t now = fresh < HAK_TRADE_SLICES_MAX ? fresh : HAK_TRADE_SLICES_MAX, later = fresh - now;
  if (later > HAK_TRADE_BACKLOG) later = HAK_TRADE_BACKLOG;
  if (!hak_cas_relaxed(hak_segment_fresh_slices(), &fresh, later)) return 0;
  return (size_t)now * HAK_SLICE_BYTES;
}

bool hak_purge_waits_mt(void) { return hak_load_relaxed(hak_segment_dirty_slices()) > HAK_LEAN_SLICES; }

/* A quarter less of the regret per delay's quarter, so that after some delays without any nothing of it is left. */
static void purge_wear_off(uint64_t now_ms) {
  if (now_ms < hak_load_relaxed(&purge_xwear_ms)) return;
  hak_store_relaxed(&purge_xwear_ms, now_ms + (uint64_t)hak_options.purge_delay_ms / 4);
  int64_t regret = hak_load_relaxed(&purge_xregret);
  (void)hak_cas_relaxed(&purge_xregret, &regret, regret - (regret + 3) / 4); /* else somebody regrets this moment */
  int64_t peak = hak_load_relaxed(&purge_xpeak), active = hak_load_relaxed(hak_segment_active_slices());
  if (peak > active) hak_store_relaxed(&purge_xpeak, peak - (peak - active + 3) / 4);
}

void hak_purge_old_mt(void) {
  if (hak_load_relaxed(hak_segment_dirty_slices()) <= 0 && hak_load_relaxed(&purge_xregret) == 0) return;
  uint64_t now = hak_os_now_ms();
  uint64_t look = hak_load_relaxed(&purge_xlook_ms);
  /* One thread at a time takes the turn; when it stops early because its budget is spent, the next comes soon. */
  if (now < look || !hak_cas_relaxed(&purge_xlook_ms, &look, now + (uint64_t)hak_options.purge_delay_ms / 4)) return;
  purge_wear_off(now);
  uint32_t count = hak_segment_count_mt(), i = hak_load_relaxed(&purge_xold);
  if (i >= count) i = 0;
  uint32_t end = count - i < HAK_PURGE_SEGMENTS ? count : i + HAK_PURGE_SEGMENTS;
  purge_budget_t budget = {HAK_PURGE_CALLS, HAK_PURGE_OLD_SLICES};
  for (; i < end; i++) {
    hak_segment_t *segment = hak_segment_at_mt(i);
    if (purge_is_old(segment, now)) purge_segment(segment, &budget, false);
    if (purge_is_spent(&budget)) break;
  }
  hak_store_relaxed(&purge_xold, i); /* the next turn begins with this one, which may have more */
  if (i < count) hak_store_relaxed(&purge_xlook_ms, now);
}

/* How many dirty slices are more than are to be kept. */
static unsigned purge_excess_slices(size_t keep) {
  int64_t dirty = hak_load_relaxed(hak_segment_dirty_slices());
  if (keep > INT64_MAX - HAK_SLICE_BYTES) return 0;
  int64_t excess = dirty - (int64_t)((keep + HAK_SLICE_BYTES - 1) / HAK_SLICE_BYTES);
  return excess <= 0 ? 0 : excess < HAK_SLICES ? (unsigned)excess : HAK_SLICES;
}

void hak_purge_all_mt(bool force, size_t keep) {
  if (force) hak_store_relaxed(&purge_xregret, 0);
  uint64_t now = hak_os_now_ms();
  /* From the last one, since slices are taken from the first ones: what is kept is kept there. */
  for (uint32_t i = hak_segment_count_mt(); i-- != 0;) {
    hak_segment_t *segment = hak_segment_at_mt(i);
    if (force) {
      hak_store_relaxed(&segment->xpurged, 0);                          /* using it again is then no regret */
      (void)hak_add_relaxed(&purge_xbytes, hak_span_purge_mt(segment)); /* may free slices, hence first */
    }
    /* A segment has no more runs than slices. Without `keep` none of them stays, whatever the count says this moment. */
    purge_budget_t budget = {HAK_SLICES, keep == 0 ? HAK_SLICES : purge_excess_slices(keep)};
    if (force || purge_is_old(segment, now)) purge_segment(segment, &budget, false);
  }
}
