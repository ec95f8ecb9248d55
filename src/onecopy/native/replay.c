#define _GNU_SOURCE
#include "replay.h"

#include "arena.h"
#include "output.h"
#include "plan.h"
#include "region.h"

/* Smaller outputs are the heap's: a mapping for each would cost more than it gives back. */
#define PLACED_FROM ((size_t)128 << 10)

/* Keep the region's memory and that of kept blocks within the plan: where a kept block would lie by
 * the plan, nothing else does until the run ends. */
static void note_memory(struct run *run) {
    const struct outputs *outputs = run->plan->outputs;
    const uint64_t peak = run->plan->peak, kept = run->outside;
    uint64_t both = region_committed(run->region) + kept;
    if (both > peak && run->vacant) {
        const struct replay_slot *slot = &run->plan->slots[run->vacant - 1];
        region_give_back(run->region, slot->offset, slot->nbytes, both - peak);
        both = region_committed(run->region) + kept;
    }
    if (both > run->most) run->most = both;
    const uint64_t aside = run->aside + outputs_idle(outputs);
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

static void *take_output(const struct plan *plan, uint64_t place, size_t nbytes, bool outermost) {
    if (plan->pool) return outermost ? arena_take(plan->pool, nbytes) : NULL;
    if (place == REPLAY_KEPT) return NULL;
    if (!outputs_shared(plan->outputs) && (!outermost || nbytes < PLACED_FROM)) return NULL;
    return outputs_take(plan->outputs, place - 1, nbytes);
}

/* Whether somebody relies on where this block is: small and exact ones may be the heap's. */
static bool is_to_be_placed(const struct plan *plan, uint64_t place, bool outermost) {
    if (plan->pool) return outermost;
    return outputs_shared(plan->outputs) && place != REPLAY_KEPT;
}

static void *keep(struct run *run, size_t at, size_t nbytes, bool outermost) {
    const struct plan *plan = run->plan;
    const struct replay_slot *slots = plan->slots;
    const uint64_t place = __atomic_load_n(&slots[at].kept, __ATOMIC_RELAXED);
    void *block = take_output(plan, place, nbytes, outermost);
    if (!run->vacant || slots[run->vacant - 1].nbytes < slots[at].nbytes) run->vacant = at + 1;
    run->outside += nbytes;
    if (run->region) note_memory(run);
    if (!block && is_to_be_placed(plan, place, outermost)) {
        return miss(run, &run->counts.unplaced, nbytes);
    }
    run->counts.kept++;
    run->counts.kept_bytes += nbytes;
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
    const struct plan *plan = run->plan;
    struct replay_counts *counts = &run->counts;
    const size_t at = run->cursor++;
    uint64_t *trouble = &counts->beyond;
    if (at < plan->count) {
        const struct replay_slot *slot = &plan->slots[at];
        if (__atomic_load_n(&slot->kept, __ATOMIC_RELAXED)) return keep(run, at, nbytes, outermost);
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
    return !!counts->too_large | !!counts->blocked << 1 | !!counts->beyond << 2 |
           !!counts->unmapped << 3 | !!counts->unplaced << 4;
}
