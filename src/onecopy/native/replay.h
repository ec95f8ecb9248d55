/* replay: planned slots for the allocations of a run, in the order in which they come.
 *
 * A plan is a table of slots by the number of the allocation, and regions, memory laid out by it. A
 * run is what one thread does between enter and leave; it has a region to itself. The i-th
 * allocation of a run gets the i-th slot if it fits and no live block overlaps it, whoever holds
 * that block and since when. Else it is displaced: it gets a gap between live blocks, or if there is
 * none somebody else serves it, which is counted as a miss. A run whose allocations are not those of
 * the recording (a kernel chooses its algorithm by the shape) is served like this; its order may be
 * added to the plan, for the next run that has it.
 *
 * What a slot marks as kept outlives the run: it is an output, or the model's state. Such blocks
 * never come from a region, so the next run finds it empty. Where a block of a region outlives its
 * run all the same, the region is left alone until that block dies, and the next run has another one;
 * what else the old one has of memory goes back to the system as soon as both have more than `peak`. If the run had as many allocations as there are
 * slots in its order, the slot is marked as kept from then on; now and then a run has a region aside for such
 * blocks, which shows whether they still outlive it.
 *
 * Kept blocks are other memory than the region's: the places of the plan's outputs (output.h), or, if
 * they are small or there is a mode or an arena outside of the run, somebody else serves them. So that both together take no more than `peak`,
 * the pages of a kept slot, which by the plan nobody else needs until the run ends, are given back
 * when they would.
 *
 * fork: a region is private memory; the child has a copy of it and goes on.
 */
#ifndef ONECOPY_REPLAY_H
#define ONECOPY_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export.h"

/* So many orders of allocations a plan knows. */
#define REPLAY_ORDERS 16

/* Beside the misses of a run: it had another number of allocations than its order. Above that, one
 * more than the number of an order that has as many; 0 if there is none. */
#define REPLAY_STRAYED (1 << 5)
#define REPLAY_ALIKE_SHIFT 8

struct order;
struct plan;
struct region;

struct replay_slot {
    uint64_t offset, nbytes; /* Multiples of 64. */
    uint64_t kept; /* 0: no; REPLAY_KEPT; else, one more than the number of its place for outputs */
};

#define REPLAY_KEPT UINT64_MAX

struct replay_counts {
    uint64_t hits, hit_bytes; /* in the arena, displaced ones included */
    uint64_t displaced;
    uint64_t kept, kept_bytes;
    uint64_t too_large, blocked, beyond; /* misses: larger than the slot; overlaps; no such slot */
    uint64_t unmapped;                   /* misses: there was no region to be had */
    uint64_t unplaced; /* misses: kept blocks that were to have a place in `outputs` or `pool` */
    uint64_t miss_bytes;
};

struct replay_facts {
    struct replay_counts counts;
    uint64_t runs;
    uint64_t region_nbytes; /* addresses of one region */
    uint64_t regions, held; /* of a plan; those in which something lives that outlived its run */
    uint64_t committed; /* bytes of memory of regions, and of outputs that have died */
    uint64_t most;      /* that a region and the kept blocks of one run have taken together */
    uint64_t open;      /* runs */
    uint64_t moved;     /* outputs elsewhere than at their address, where an earlier one lived */
    uint64_t orders;    /* of allocations that it knows */
};

struct run {
    struct plan *plan;
    struct order *order;
    struct region *region; /* NULL: there was no memory map, or no address space, for one */
    struct region *probe;  /* for blocks of slots that were marked as kept; mostly NULL */
    uint64_t serial;
    size_t cursor;
    uint64_t aside; /* bytes of memory that regions had which no run has, when this one began */
    uint64_t outside; /* bytes of kept blocks, wherever they are */
    size_t vacant;    /* the first slot whose place, if it is kept, may have memory still */
    struct replay_counts counts;
    uint64_t most;
    int strayed; /* when it is over: 0, or REPLAY_STRAYED and what is above that */
};

/* Which kinds of misses there were: bit 0 for too_large, and so on in the order above. */
int replay_misses(const struct replay_counts *);

/* A block for the next allocation of this run, or NULL. `outermost`: nobody else would place what is
 * kept, neither a mode nor an arena. */
void *replay_allocate(struct run *, size_t nbytes, bool outermost);

/* `order`: the number of that in which its allocations are expected. */
int replay_begin(uint64_t id, size_t order, struct run *);

/* `whole`: it did not fail half-way, so what it left alive is what runs leave alive. */
void replay_end(struct run *, bool whole);

/* `places`: how many outputs have one. `shared`: each in a memfd of its own, whatever its size.
 * `pool`: the arena that outputs come from instead; 0 for none. */
struct replay_outputs {
    uint64_t places, shared, pool;
};

EXPORT int onecopy_replay_new(const struct replay_slot *, size_t count, uint64_t peak,
                              const struct replay_outputs *, uint64_t *id);

/* Add an order of allocations, whose number becomes `order`. Its slots share the regions and the
 * places of the first one, and have to find room there: EFBIG. ENOSPC: there are enough orders. */
EXPORT int onecopy_replay_add(uint64_t id, const struct replay_slot *, size_t count, uint64_t *order);

/* Its maker holds it no longer: it ends with its last run, its regions with their last block. */
EXPORT int onecopy_replay_release(uint64_t id);

EXPORT int onecopy_replay_facts(uint64_t id, struct replay_facts *);

#endif
