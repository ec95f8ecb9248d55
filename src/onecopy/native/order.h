/* order: the slots of a plan for allocations that come in one order, and which of them outlive their
 * runs though the recording's did not. With the lock of the plan held, but that a run reads whether a
 * slot is kept.
 */
#ifndef ONECOPY_ORDER_H
#define ONECOPY_ORDER_H

#include <stdbool.h>

#include "replay.h"

/* Slots for allocations that come in one order. */
struct order {
    uint64_t marks;              /* slots that were marked as kept since, and are so still */
    uint64_t patience, retry_at; /* runs: after how many marks are reviewed, and when */
    size_t count;
    struct replay_slot slots[];
};

struct order *order_new(const struct replay_slot *, size_t count);

/* Mark a slot as kept: its block has outlived a run. `of`: the order. */
void order_mark_kept(size_t slot, void *of);

/* Keep the marks of those slots whose blocks have outlived this run, too. */
void order_review(struct order *, struct region *probe);

/* After so many runs of the plan: set when marks are to be reviewed: after some runs, and after twice as
 * many each time that some stay. */
void order_be_patient(struct order *, uint64_t runs, bool reviewed);

#endif
