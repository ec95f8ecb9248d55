#define _GNU_SOURCE
#include "replay.h"

#include "arena.h"
#include "output.h"
#include "plan.h"
#include "region.h"

/* Smaller outputs are the heap's: a mapping for each would cost more than it gives back. */
#define PLACED_FROM ((size_t)128 << 10)

static uint64_t memory_of(const struct run *run) {
    return region_committed(run->region) + run->outside;
}

/* Give back what is too much, from the places of the kept blocks so far. */
static uint64_t give_back(struct run *run, uint64_t both) {
    const struct plan *plan = run->plan;
    const struct order *order = run->order;
    const size_t end = run->cursor < order->count ? run->cursor : order->count;
    while (both > plan->peak && run->vacant < end) {
        const struct replay_slot *slot = &order->slots[run->vacant];
        if (__atomic_load_n(&slot->kept, __ATOMIC_RELAXED)) {
            region_give_back(run->region, slot->offset, slot->nbytes, both - plan->peak);
            both = memory_of(run);
        }
        if (both > plan->peak) run->vacant++;
    }
    return both;
}

/* Keep the region's memory and that of kept blocks within the plan: where a kept block would lie by
 * the plan, nothing else does until the run ends. */
static void note_memory(struct run *run) {
    const uint64_t peak = run->plan->peak;
    uint64_t both = memory_of(run);
    if (both > peak) both = give_back(run, both);
    if (both > run->most) run->most = both;
    const uint64_t aside = run->aside + outputs_idle(run->plan->outputs);
    if (aside && both + aside > peak) {
        plan_trim(run->plan);
        run->aside = 0;
    }
}

static void *miss(struct run *run, uint64_t *kind, size_t nbytes) {
    ++*kind;
    run->counts.miss_bytes += nbytes;
    return NULL;
}

/* The next block that outlives the run. */
struct kept {
    size_t at; /* its slot */
    uint64_t place;
    size_t nbytes;
    bool outermost;
};

static void *place(const struct run *run, const struct kept *kept) {
    const struct plan *plan = run->plan;
    const struct replay_slot *slot = &run->order->slots[kept->at];
    const bool marked = kept->place == REPLAY_KEPT, shared = outputs_shared(plan->outputs);
    if (marked && run->probe && kept->outermost) {
        return region_take(run->probe, slot->offset, kept->nbytes, kept->at);
    }
    if (plan->pool) return kept->outermost ? arena_take(plan->pool, kept->nbytes) : NULL;
    if (marked) return NULL;
    if (!shared && (!kept->outermost || kept->nbytes < PLACED_FROM)) return NULL;
    return outputs_take(plan->outputs, kept->place - 1, kept->nbytes);
}

/* Whether somebody relies on where it is: exact ones may be the heap's. */
static bool is_to_be_placed(const struct plan *plan, const struct kept *kept) {
    if (plan->pool) return kept->outermost;
    return outputs_shared(plan->outputs) && kept->place != REPLAY_KEPT;
}

static void *keep(struct run *run, const struct kept *kept) {
    void *block = place(run, kept);
    run->outside += kept->nbytes;
    if (run->region) note_memory(run);
    if (!block && is_to_be_placed(run->plan, kept)) {
        return miss(run, &run->counts.unplaced, kept->nbytes);
    }
    run->counts.kept++;
    run->counts.kept_bytes += kept->nbytes;
    return block;
}

static void *hit(struct run *run, void *block, size_t nbytes) {
    run->counts.hits++;
    run->counts.hit_bytes += nbytes;
    note_memory(run);
    return block;
}

static void *displace(struct run *run, size_t at, size_t nbytes) {
    void *block = region_take_anywhere(run->region, nbytes, at);
    if (!block) return NULL;
    run->counts.displaced++;
    return hit(run, block, nbytes);
}

void *replay_allocate(struct run *run, size_t nbytes, bool outermost) {
    const struct order *order = run->order;
    struct replay_counts *counts = &run->counts;
    const size_t at = run->cursor++;
    uint64_t *trouble = &counts->beyond;
    if (at < order->count) {
        const struct replay_slot *slot = &order->slots[at];
        /* Read once: another run may mark the slot, or take a mark back. */
        const uint64_t kept = __atomic_load_n(&slot->kept, __ATOMIC_RELAXED);
        if (kept) return keep(run, &(struct kept){at, kept, nbytes, outermost});
        if (!run->region) return miss(run, &counts->unmapped, nbytes);
        const bool fits = nbytes <= slot->nbytes;
        void *block = fits ? region_take(run->region, slot->offset, nbytes, at) : NULL;
        if (block) return hit(run, block, nbytes);
        trouble = fits ? &counts->blocked : &counts->too_large;
    }
    void *block = run->region ? displace(run, at, nbytes) : NULL;
    return block ? block : miss(run, trouble, nbytes);
}

int replay_misses(const struct replay_counts *counts) {
    const uint64_t kinds[] = {counts->too_large, counts->blocked, counts->beyond, counts->unmapped,
                              counts->unplaced};
    int found = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) found |= (kinds[i] > 0) << i;
    return found;
}
