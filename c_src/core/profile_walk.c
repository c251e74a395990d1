/* Call stacks by frame pointers: at each there is the caller's, and behind it the return address, on x86-64 and aarch64. A
 * function that was compiled without uses the register for something else, so nothing is believed of what is found there but
 * that it lies in the thread's own stack, above the last, where all memory between the stack pointer and the stack's end is
 * mapped and stays so. */
#include "core/profile.h"
#include "os/process.h"

_Atomic(hak_profile_unwinder_t *) hak_profile_xunwinder;

#define WALK_LOOKS_MAX 8     /* a look reads a file of the system */
#define WALK_ADDRESS_BITS 48 /* above: signatures of return addresses on aarch64 */

/* Whether the address is in the thread's own stack, of which the end is known then. Not so on a stack that the program has made
 * itself (coroutines, signals). */
static bool walk_is_on_stack(uintptr_t at) {
  hak_profile_tls_t *tls = &hak_profile_tls;
  if (at >= tls->stack_low && at < tls->stack_high) return true;
  if (tls->stack_looks >= WALK_LOOKS_MAX) return false;
  uintptr_t low, high;
  if (!hak_os_stack_limits(at, &low, &high)) {
    tls->stack_looks++;
    return false;
  }
  tls->stack_low = low;
  tls->stack_high = high;
  return true;
}

__attribute__((no_sanitize("address", "thread"))) static size_t walk_frames(hak_profile_site_t site,
                                                                            const void **addresses, size_t depth) {
  const uintptr_t mask = ((uintptr_t)1 << WALK_ADDRESS_BITS) - 1, room = 2 * sizeof(uintptr_t);
  if (!walk_is_on_stack(site.frame)) return depth;
  uintptr_t high = hak_profile_tls.stack_high - room, frame = *(const uintptr_t *)site.frame, last = site.frame;
  bool first = true;
  while (depth < HAK_PROFILE_DEPTH && frame > last && frame <= high && frame % sizeof(uintptr_t) == 0) {
    uintptr_t back = ((const uintptr_t *)frame)[1] & mask;
    if (back == 0) break;
    if (!first || back != site.outer) addresses[depth++] = (const void *)back;
    first = false;
    last = frame;
    frame = *(const uintptr_t *)frame;
  }
  return depth;
}

/* What the program's unwinder says, without our own frames and its. */
static size_t walk_by_program(hak_profile_unwinder_t *unwinder, hak_profile_site_t site, const void **addresses) {
  size_t depth = unwinder(addresses, HAK_PROFILE_DEPTH);
  if (depth > HAK_PROFILE_DEPTH) depth = HAK_PROFILE_DEPTH;
  size_t skip = 0;
  while (skip < depth && (uintptr_t)addresses[skip] != site.outer) skip++;
  if (skip == 0 || skip == depth) return depth;
  for (size_t i = skip; i < depth; i++) addresses[i - skip] = addresses[i];
  return depth - skip;
}

size_t hak_profile_walk(hak_profile_site_t site, const void **addresses) {
  /* acquire pairs with the release where it is set: what the program prepared for it is there */
  hak_profile_unwinder_t *unwinder = hak_load_acquire(&hak_profile_xunwinder);
  size_t depth = unwinder == NULL ? 0 : walk_by_program(unwinder, site, addresses);
  if (depth != 0) return depth;
  addresses[depth++] = (const void *)site.inner;
  if (site.outer != site.inner) addresses[depth++] = (const void *)site.outer;
  return walk_frames(site, addresses, depth);
}
