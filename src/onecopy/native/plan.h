/* plan: the slots of a plan, its regions, and who runs it. What others see of it is in replay.h. */
#ifndef ONECOPY_PLAN_H
#define ONECOPY_PLAN_H

#include "order.h"
#include "replay.h"

struct arena;
struct outputs;

struct plan {
    struct plan *next;
    uint64_t id, peak; /* that its memory is to stay within, rounding included */
    struct order *orders[REPLAY_ORDERS]; /* of the recording, then those of runs that part from it */
    size_t region_nbytes;
    uint64_t places; /* for outputs */
    struct region *regions;
    struct outputs *outputs;
    struct arena *pool; /* or NULL */
    struct replay_facts facts;
    bool released;
};

/* Give back the memory of what no run has: idle regions but for live blocks, and dead outputs. */
void plan_trim(struct plan *);

#endif
