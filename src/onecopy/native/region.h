/* region: memory in which a plan lays out the blocks of its runs.
 *
 * It knows which of its bytes live, and never hands out any of them a second time: whatever the
 * plan says, correctness rests on this alone. Blocks may be freed by any thread.
 */
#ifndef ONECOPY_REGION_H
#define ONECOPY_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct region;

/* A new one at the head of `list`, or NULL, with errno set. The list is the caller's to guard. */
struct region *region_new(size_t nbytes, struct region **list);
struct region *region_next(const struct region *);
struct region **region_link(struct region *);

/* Nobody takes blocks from it any more: it ends with its last one, its other pages at once. */
void region_give_up(struct region *);

/* Give its pages back to the system, but for those of live blocks. */
void region_trim(struct region *);

/* Whether nothing in it lives. If no run has it, it stays so. */
bool region_empty(struct region *);

bool region_busy(const struct region *);
void region_set_busy(struct region *, bool);

/* Memory that it has of the system, in bytes, rounded up to what it counts in. */
uint64_t region_committed(const struct region *);

/* The block at `offset`; NULL if a live one overlaps it. `slot` is for the taker to know it by. */
void *region_take(struct region *, uint64_t offset, size_t nbytes, size_t slot);
/* A block wherever there is room between live ones, or NULL. */
void *region_take_anywhere(struct region *, size_t nbytes, size_t slot);
void region_give(struct region *, const void *block);

/* Call `visit`, if given, with the slot of each live block; return whether there are any. */
bool region_each_live(struct region *, void (*visit)(size_t slot, void *of), void *of);

/* Give about `need` bytes of this extent back to the system, if nothing in it lives. */
void region_give_back(struct region *, uint64_t offset, uint64_t nbytes, uint64_t need);

/* For forks: hold all of them still. */
void regions_lock(void);
void regions_unlock(void);

#endif
