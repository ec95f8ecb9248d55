#define _GNU_SOURCE
#include "replay.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "region.h"

/* How far a run looks for a slot that fits when it has parted from the recording. */
#define AHEAD 16

struct plan {
    struct plan *next;
    uint64_t id, peak;
    struct replay_slot *slots;
    size_t count, region_nbytes;
    struct region *regions; /* idle or in a run; those given up are on their own */
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
}

static void after_fork(void) {
    regions_unlock();
    pthread_mutex_unlock(&registry);
}

static void watch_forks(void) { pthread_atfork(before_fork, after_fork, after_fork); }

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

int onecopy_replay_new(const struct replay_slot *slots, size_t count, uint64_t peak,
                       uint64_t *id) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    struct plan *plan = calloc(1, sizeof *plan);
    struct replay_slot *copy = calloc(count + 1, sizeof *copy);
    if (!plan || !copy) {
        free(plan);
        free(copy);
        return ENOMEM;
    }
    if (count) memcpy(copy, slots, count * sizeof *copy);
    plan->slots = copy;
    plan->count = count;
    plan->peak = peak;
    plan->facts.region_nbytes = plan->region_nbytes = region_size(slots, count);
    pthread_mutex_lock(&registry);
    *id = plan->id = ++last_id;
    plan->next = plans;
    plans = plan;
    pthread_mutex_unlock(&registry);
    return 0;
}

/* End a plan that was released, after its last run. Its regions are empty, and nobody has them. */
static void end_if_over(struct plan *plan) {
    if (!plan->released || plan->facts.open) return;
    struct plan **link = &plans;
    while (*link != plan) link = &(*link)->next;
    *link = plan->next;
    for (struct region *region = plan->regions, *next; region; region = next) {
        next = region_next(region);
        region_give_up(region);
    }
    free(plan->slots);
    free(plan);
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

/* The idle region that has most of its memory already; a new one if all are in use. */
static struct region *take_region(struct plan *plan) {
    struct region *best = NULL;
    for (struct region *each = plan->regions; each; each = region_next(each)) {
        if (region_busy(each)) continue;
        if (!best || region_committed(each) > region_committed(best)) best = each;
    }
    if (!best) best = region_new(plan->region_nbytes, &plan->regions);
    if (best) region_set_busy(best, true);
    return best;
}

int replay_begin(uint64_t id, struct run *run) {
    pthread_mutex_lock(&registry);
    struct plan *plan = find(id);
    struct region *region = plan ? take_region(plan) : NULL;
    if (region) {
        *run = (struct run){.plan = plan, .region = region, .serial = ++last_serial};
        plan->facts.open++;
    }
    pthread_mutex_unlock(&registry);
    return region ? 0 : plan ? ENOMEM : ENOENT;
}

uint64_t replay_id(const struct run *run) { return run->plan->id; }

static void mark_kept(size_t slot, void *of) {
    struct plan *plan = of;
    __atomic_store_n(&plan->slots[slot].kept, 1, __ATOMIC_RELAXED);
}

static void drop_region(struct plan *plan, struct region *region) {
    struct region **link = &plan->regions;
    while (*link != region) link = region_link(*link);
    *link = region_next(region);
    region_give_up(region);
    plan->facts.given_up++;
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
    if (region_each_live(run->region, whole ? mark_kept : NULL, plan)) {
        drop_region(plan, run->region);
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
        }
    }
    pthread_mutex_unlock(&registry);
    return plan ? 0 : ENOENT;
}

/* ---- allocations ---- */

static void note_memory(struct run *run, uint64_t committed) {
    const uint64_t now = committed + run->counts.kept_bytes;
    if (now > run->most) run->most = now;
}

static void *keep(struct run *run, const struct replay_slot *slot, size_t nbytes) {
    run->counts.kept++;
    run->counts.kept_bytes += nbytes;
    uint64_t committed = region_committed(run->region);
    const uint64_t both = committed + run->counts.kept_bytes;
    if (both > run->plan->peak) {
        region_give_back(run->region, slot->offset, slot->nbytes, both - run->plan->peak);
        committed = region_committed(run->region);
    }
    note_memory(run, committed);
    return NULL;
}

static bool fits(const struct replay_slot *slot, size_t nbytes) {
    return nbytes <= slot->nbytes && !__atomic_load_n(&slot->kept, __ATOMIC_RELAXED);
}

static void *grant(struct run *run, size_t at, size_t nbytes) {
    void *block = region_take(run->region, run->plan->slots[at].offset, nbytes, at);
    if (!block) return NULL;
    run->counts.hits++;
    run->counts.hit_bytes += nbytes;
    note_memory(run, region_committed(run->region));
    return block;
}

/* A kernel may ask for other memory at this shape than at that of the recording: then the numbers
 * have shifted, and one of the next slots is as good. */
static void *grant_ahead(struct run *run, size_t nbytes) {
    const struct plan *plan = run->plan;
    for (size_t at = run->cursor; at < plan->count && at < run->cursor + AHEAD; at++) {
        void *block = fits(&plan->slots[at], nbytes) ? grant(run, at, nbytes) : NULL;
        if (block) return block;
    }
    return NULL;
}

static void *miss(struct run *run, uint64_t *kind, size_t nbytes) {
    ++*kind;
    run->counts.miss_bytes += nbytes;
    return NULL;
}

void *replay_allocate(struct run *run, size_t nbytes) {
    const struct plan *plan = run->plan;
    struct replay_counts *counts = &run->counts;
    if (run->cursor >= plan->count) return miss(run, &counts->beyond, nbytes);
    const size_t at = run->cursor++;
    const struct replay_slot *slot = &plan->slots[at];
    if (__atomic_load_n(&slot->kept, __ATOMIC_RELAXED)) return keep(run, slot, nbytes);
    const bool small = nbytes <= slot->nbytes;
    void *block = small ? grant(run, at, nbytes) : NULL;
    if (!block) block = grant_ahead(run, nbytes);
    return block ? block : miss(run, small ? &counts->blocked : &counts->too_large, nbytes);
}

void replay_free(struct region *region, void *block) { region_give(region, block); }
