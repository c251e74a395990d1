/* The mmap tier's table of live blocks, by their addresses, and the lists on which arenas have theirs. A hash table with linear
 * probing and deletion by shifting back (Knuth, TAOCP 3, 6.4, algorithm R), at most half full unless it could not grow. All
 * functions want hak_mmap_lock held. */
#ifndef HAK_TIER_MMAP_TABLE_H
#define HAK_TIER_MMAP_TABLE_H

#include "tier/mmap.h"

typedef struct hak_mmap_block {
  char *base; /* NULL: empty */
  size_t bytes;
  hak_mmap_list_t *list; /* or NULL */
  char *next, *previous; /* the bases of its neighbours on that list: places in the table change */
} hak_mmap_block_t;

/* The block that begins there; NULL when none does. */
HAK_HIDDEN hak_mmap_block_t *hak_mmap_table_find_locked(const void *base);

/* Makes room for one more block: maps, once per doubling of their number. False without memory. */
HAK_HIDDEN bool hak_mmap_table_reserve_locked(void);

/* Whether there is a place for one more, though the table could not grow. */
HAK_HIDDEN bool hak_mmap_table_has_place_locked(void);

/* Adds a block, for which there is room, to the table and the list. */
HAK_HIDDEN void hak_mmap_table_insert_locked(char *base, size_t bytes, hak_mmap_list_t *list);

/* Takes a block out of both. Others may change their places in the table. */
HAK_HIDDEN void hak_mmap_table_remove_locked(hak_mmap_block_t *block);

/* Whether an address is in a live block. Looks at all of them. */
HAK_HIDDEN bool hak_mmap_table_covers_locked(const void *p);

#endif
