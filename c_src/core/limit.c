#include "core/limit.h"

#include "base/check.h"

static struct {
  HAK_LINE_ALIGNED _Atomic int64_t xheld;
  HAK_LINE_ALIGNED _Atomic int64_t xlimit; /* read with every count, written hardly ever */
  _Atomic uint64_t xfailed;
} limit_state = {.xlimit = INT64_MAX};

hak_lock_t hak_limit_lock;
static hak_limit_callback_t limit_callback; /* under the lock */
static void *limit_argument;                /* the same */

_Thread_local bool hak_limit_met HAK_TLS_MODEL_HERE;

/* Relaxed: a count, from which nobody concludes anything about other memory. All its changes are in one order, so whoever
 * finds the sum within the limit knows that all who were granted before are in it. */
bool hak_limit_take_mt(size_t bytes) {
  int64_t limit = hak_load_relaxed(&limit_state.xlimit);
  if (HAK_LIKELY(bytes <= (uint64_t)limit)) { /* what can never be is not counted for a moment either */
    /* Without a limit the sum may wrap, for as long as the system takes to refuse a mapping of that size. */
    int64_t held = (int64_t)((uint64_t)hak_add_relaxed(&limit_state.xheld, (int64_t)bytes) + bytes);
    if (HAK_LIKELY(held <= limit)) return true;
    (void)hak_sub_relaxed(&limit_state.xheld, (int64_t)bytes);
  }
  hak_limit_met = true;
  return false;
}

void hak_limit_give_mt(size_t bytes) { (void)hak_sub_relaxed(&limit_state.xheld, (int64_t)bytes); }

void hak_limit_correct(int64_t bytes) { (void)hak_add_relaxed(&limit_state.xheld, bytes); }

void hak_limit_start(int64_t bytes) { hak_store_relaxed(&limit_state.xlimit, bytes); }

void hak_limit_set_mt(int64_t bytes, hak_limit_callback_t callback, void *argument) {
  hak_lock(&hak_limit_lock);
  limit_callback = callback;
  limit_argument = argument;
  hak_store_relaxed(&limit_state.xlimit, bytes);
  hak_unlock(&hak_limit_lock);
}

hak_limit_callback_t hak_limit_callback_mt(void **argument) {
  hak_lock(&hak_limit_lock);
  hak_limit_callback_t callback = limit_callback;
  *argument = limit_argument;
  hak_unlock(&hak_limit_lock);
  return callback;
}

int64_t hak_limit_held_mt(void) { return hak_load_relaxed(&limit_state.xheld); }
int64_t hak_limit_bytes_mt(void) { return hak_load_relaxed(&limit_state.xlimit); }
_Atomic(uint64_t) *hak_limit_failed(void) { return &limit_state.xfailed; }
