#define _GNU_SOURCE
#include "replay.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "region.h"

/* So many regions a plan looks after. More, if tensors in all of them live on, are on their own. */
#define REGIONS 16

/* Smaller outputs are the heap's: a mapping for each would cost more than it gives back. */
#define PLACED_FROM ((size_t)128 << 10)

struct plan {
    struct plan *next;
    uint64_t id, peak;
    struct replay_slot *slots;
    size_t count, region_nbytes;
    struct region *regions;
    struct outputs *outputs; /* NULL if kept blocks come from elsewhere */
    struct replay_facts facts;
    bool released;
};

/* Guards plans and who has which region. Taken before a region's own lock, never after. */
static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static struct plan *plans;
static uint64_t last_id, last_serial;

/* ---- birth and death ---- */

static void before_fork(void) {
    pthread_mutex_lock(&registry);
    regions_lock();
    outputs_lock();
}

static void after_fork(void) {
    outputs_unlock();
    regions_unlock();
    pthread_mutex_unlock(&registry);
}

static void after_fork_in_child(void) {
    outputs_inherit();
    after_fork();
}

static void watch_forks(void) { pthread_atfork(before_fork, after_fork, after_fork_in_child); }

static struct plan *find(uint64_t id) {
    for (struct plan *plan = plans; plan; plan = plan->next) {
        if (plan->id == id && !plan->released) return plan;
    }
    return NULL;
}

static size_t region_size(const struct replay_slot *slots, size_t count) {
    size_t end = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t last = slots[i].offset + slots[i].nbytes;
        if (!slots[i].kept && last > end) end = last;
    }
    return end;
}

static struct outputs *places_for(const struct replay_slot *slots, size_t count, size_t places,
                                  bool shared) {
    uint64_t *nbytes = calloc(places, sizeof *nbytes);
    if (!nbytes) return NULL;
    for (size_t i = 0; i < count; i++) {
        if (slots[i].kept && slots[i].kept <= places) nbytes[slots[i].kept - 1] = slots[i].nbytes;
    }
    struct outputs *outputs = outputs_new(nbytes, places, shared);
    free(nbytes);
    return outputs;
}

static void dispose(struct plan *plan) {
    if (plan->outputs) outputs_release(plan->outputs);
    free(plan->slots);
    free(plan);
}

static struct plan *plan_new(const struct replay_slot *slots, size_t count, size_t places,
                             bool shared) {
    struct plan *plan = calloc(1, sizeof *plan);
    if (!plan) return NULL;
    plan->slots = calloc(count + 1, sizeof *slots);
    if (places) plan->outputs = places_for(slots, count, places, shared);
    if (!plan->slots || (places && !plan->outputs)) {
        dispose(plan);
        return NULL;
    }
    if (count) memcpy(plan->slots, slots, count * sizeof *slots);
    plan->count = count;
    plan->facts.region_nbytes = plan->region_nbytes = region_size(slots, count);
    return plan;
}

int onecopy_replay_new(const struct replay_slot *slots, size_t count, size_t places, int shared,
                       uint64_t peak, uint64_t *id) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    struct plan *plan = plan_new(slots, count, places, shared);
    if (!plan) return ENOMEM;
    plan->peak = peak;
    pthread_mutex_lock(&registry);
    *id = plan->id = ++last_id;
    plan->next = plans;
    plans = plan;
    pthread_mutex_unlock(&registry);
    return 0;
}

/* End a plan that was released, after its last run. */
static void end_if_over(struct plan *plan) {
    if (!plan->released || plan->facts.open) return;
    struct plan **link = &plans;
    while (*link != plan) link = &(*link)->next;
    *link = plan->next;
    for (struct region *region = plan->regions, *next; region; region = next) {
        next = region_next(region);
        region_give_up(region);
    }
    dispose(plan);
}

int onecopy_replay_release(uint64_t id) {
    pthread_mutex_lock(&registry);
    struct plan *plan = find(id);
    if (plan) {
        plan->released = true;
        end_if_over(plan);
    }
    pthread_mutex_unlock(&registry);
    return plan ? 0 : ENOENT;
}

/* ---- runs ---- */

/* The region that has most of its memory already, of those in which nothing lives; or a new one. */
static struct region *take_region(struct plan *plan) {
    struct region *best = NULL;
    for (struct region *each = plan->regions; each; each = region_next(each)) {
        if (region_busy(each) || !region_empty(each)) continue;
        if (!best || region_committed(each) > region_committed(best)) best = each;
    }
    if (!best) best = region_new(plan->region_nbytes, &plan->regions);
    if (best) region_set_busy(best, true);
    return best;
}

static uint64_t committed_idle(const struct plan *plan) {
    uint64_t sum = 0;
    for (const struct region *each = plan->regions; each; each = region_next(each)) {
        if (!region_busy(each)) sum += region_committed(each);
    }
    return sum;
}

static void trim_idle(struct plan *plan) {
    pthread_mutex_lock(&registry);
    for (struct region *each = plan->regions; each; each = region_next(each)) {
        if (!region_busy(each)) region_trim(each);
    }
    pthread_mutex_unlock(&registry);
}

int replay_begin(uint64_t id, struct run *run) {
    pthread_mutex_lock(&registry);
    struct plan *plan = find(id);
    struct region *region = plan ? take_region(plan) : NULL;
    if (region) {
        *run = (struct run){.plan = plan, .region = region, .serial = ++last_serial};
        run->aside = committed_idle(plan);
        plan->facts.open++;
    }
    pthread_mutex_unlock(&registry);
    return region ? 0 : plan ? ENOMEM : ENOENT;
}

uint64_t replay_id(const struct run *run) { return run->plan->id; }

static void mark_kept(size_t slot, void *of) {
    struct plan *plan = of;
    __atomic_store_n(&plan->slots[slot].kept, REPLAY_KEPT, __ATOMIC_RELAXED);
}

static size_t region_count(const struct plan *plan) {
    size_t count = 0;
    for (const struct region *each = plan->regions; each; each = region_next(each)) count++;
    return count;
}

static void drop_region(struct plan *plan, struct region *region) {
    struct region **link = &plan->regions;
    while (*link != region) link = region_link(*link);
    *link = region_next(region);
    region_give_up(region);
}

static void add_counts(struct replay_counts *total, const struct replay_counts *run) {
    uint64_t *to = (uint64_t *)total;
    const uint64_t *from = (const uint64_t *)run;
    for (size_t i = 0; i < sizeof *total / sizeof *to; i++) to[i] += from[i];
}

void replay_end(struct run *run, bool whole) {
    struct plan *plan = run->plan;
    pthread_mutex_lock(&registry);
    region_set_busy(run->region, false);
    /* With another number of allocations, their slots are not those of the recording. */
    whole = whole && run->cursor == plan->count;
    if (region_each_live(run->region, whole ? mark_kept : NULL, plan)) {
        if (region_count(plan) > REGIONS) drop_region(plan, run->region);
    }
    add_counts(&plan->facts.counts, &run->counts);
    if (run->most > plan->facts.most) plan->facts.most = run->most;
    plan->facts.runs++;
    plan->facts.open--;
    end_if_over(plan);
    pthread_mutex_unlock(&registry);
}

int onecopy_replay_facts(uint64_t id, struct replay_facts *facts) {
    pthread_mutex_lock(&registry);
    struct plan *plan = find(id);
    if (plan) {
        *facts = plan->facts;
        for (struct region *each = plan->regions; each; each = region_next(each)) {
            facts->regions++;
            facts->committed += region_committed(each);
            facts->held += !region_busy(each) && !region_empty(each);
        }
    }
    pthread_mutex_unlock(&registry);
    return plan ? 0 : ENOENT;
}

/* ---- allocations ---- */

/* Keep the region's memory and that of kept blocks within the plan: where a kept block would lie by
 * the plan, nothing else does until the run ends. */
static void note_memory(struct run *run) {
    const uint64_t peak = run->plan->peak, kept = run->counts.kept_bytes;
    uint64_t both = region_committed(run->region) + kept;
    if (both > peak && run->vacant) {
        const struct replay_slot *slot = &run->plan->slots[run->vacant - 1];
        region_give_back(run->region, slot->offset, slot->nbytes, both - peak);
        both = region_committed(run->region) + kept;
    }
    if (both > run->most) run->most = both;
    if (run->aside && both + run->aside > peak) {
        trim_idle(run->plan);
        run->aside = 0;
    }
}

static bool has_place(const struct plan *plan, uint64_t place, size_t nbytes, bool outermost) {
    if (!plan->outputs || place == REPLAY_KEPT) return false;
    return outputs_shared(plan->outputs) || (outermost && nbytes >= PLACED_FROM);
}

static void *keep(struct run *run, size_t at, size_t nbytes, bool outermost) {
    const struct plan *plan = run->plan;
    const uint64_t place = __atomic_load_n(&plan->slots[at].kept, __ATOMIC_RELAXED);
    const struct replay_slot *slots = plan->slots;
    if (!run->vacant || slots[run->vacant - 1].nbytes < slots[at].nbytes) run->vacant = at + 1;
    run->counts.kept++;
    run->counts.kept_bytes += nbytes;
    note_memory(run);
    if (!has_place(plan, place, nbytes, outermost)) return NULL;
    return outputs_take(plan->outputs, place - 1, nbytes);
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

static void *miss(struct run *run, uint64_t *kind, size_t nbytes) {
    ++*kind;
    run->counts.miss_bytes += nbytes;
    return NULL;
}

void *replay_allocate(struct run *run, size_t nbytes, bool outermost) {
    const struct plan *plan = run->plan;
    struct replay_counts *counts = &run->counts;
    const size_t at = run->cursor++;
    uint64_t *trouble = &counts->beyond;
    if (at < plan->count) {
        const struct replay_slot *slot = &plan->slots[at];
        if (__atomic_load_n(&slot->kept, __ATOMIC_RELAXED)) return keep(run, at, nbytes, outermost);
        const bool fits = nbytes <= slot->nbytes;
        void *block = fits ? region_take(run->region, slot->offset, nbytes, at) : NULL;
        if (block) return hit(run, block, nbytes);
        trouble = fits ? &counts->blocked : &counts->too_large;
    }
    void *block = displace(run, at, nbytes);
    return block ? block : miss(run, trouble, nbytes);
}
