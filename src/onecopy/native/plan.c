#define _GNU_SOURCE
#include "plan.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "output.h"
#include "region.h"

/* So many regions a plan looks after. More, if tensors in all of them live on, are on their own. */
#define REGIONS 16

/* So many runs a slot stays marked as kept, the first time and at the most. */
#define PATIENCE 16
#define PATIENCE_MOST 4096

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

static struct outputs *places_for(const struct replay_slot *slots, size_t count,
                                  const struct replay_outputs *how) {
    uint64_t *nbytes = calloc(how->places + 1, sizeof *nbytes);
    if (!nbytes) return NULL;
    for (size_t i = 0; i < count; i++) {
        const uint64_t place = slots[i].kept;
        if (place && place <= how->places) nbytes[place - 1] = slots[i].nbytes;
    }
    struct outputs *outputs = outputs_new(nbytes, how->places, how->shared);
    free(nbytes);
    return outputs;
}

static void dispose(struct plan *plan) {
    if (plan->outputs) outputs_release(plan->outputs);
    if (plan->pool) arena_unpin(plan->pool);
    free(plan->slots);
    free(plan);
}

static struct plan *plan_new(const struct replay_slot *slots, size_t count,
                             const struct replay_outputs *how) {
    struct plan *plan = calloc(1, sizeof *plan);
    if (!plan) return NULL;
    plan->slots = calloc(count + 1, sizeof *slots);
    plan->outputs = places_for(slots, count, how);
    if (how->pool) plan->pool = arena_pin(how->pool);
    if (!plan->slots || !plan->outputs || (how->pool && !plan->pool)) {
        dispose(plan);
        return NULL;
    }
    if (count) memcpy(plan->slots, slots, count * sizeof *slots);
    plan->count = count;
    plan->facts.region_nbytes = plan->region_nbytes = region_size(slots, count);
    return plan;
}

/* What is counted is in pages, and more than what was asked for: those of each output, and of what
 * lies between the places of two. A run at the bounds would give pages back, and fault them in
 * again, for that alone. */
static uint64_t rounding(uint64_t places) {
    return 3 * (places + 1) * (uint64_t)sysconf(_SC_PAGESIZE);
}

int onecopy_replay_new(const struct replay_slot *slots, size_t count, uint64_t peak,
                       const struct replay_outputs *how, uint64_t *id) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    struct plan *plan = plan_new(slots, count, how);
    if (!plan) return ENOMEM;
    plan->peak = peak + rounding(how->places);
    pthread_mutex_lock(&registry);
    *id = plan->id = ++last_id;
    plan->next = plans;
    plans = plan;
    pthread_mutex_unlock(&registry);
    return 0;
}

/* Take a plan that was released out of the list, after its last run; NULL if it has not ended. What
 * is returned is to be disposed of without a lock held: its arena has locks of its own. */
static struct plan *end_if_over(struct plan *plan) {
    if (!plan->released || plan->facts.open) return NULL;
    struct plan **link = &plans;
    while (*link != plan) link = &(*link)->next;
    *link = plan->next;
    for (struct region *region = plan->regions, *next; region; region = next) {
        next = region_next(region);
        region_give_up(region);
    }
    return plan;
}

int onecopy_replay_release(uint64_t id) {
    pthread_mutex_lock(&registry);
    struct plan *plan = find(id), *over = NULL;
    if (plan) {
        plan->released = true;
        over = end_if_over(plan);
    }
    pthread_mutex_unlock(&registry);
    if (over) dispose(over);
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

void plan_trim(struct plan *plan) {
    pthread_mutex_lock(&registry);
    for (struct region *each = plan->regions; each; each = region_next(each)) {
        if (!region_busy(each)) region_trim(each);
    }
    outputs_trim(plan->outputs);
    pthread_mutex_unlock(&registry);
}

int replay_begin(uint64_t id, struct run *run) {
    pthread_mutex_lock(&registry);
    struct plan *plan = find(id);
    if (plan) {
        *run = (struct run){.plan = plan, .region = take_region(plan), .serial = ++last_serial};
        run->aside = committed_idle(plan);
        if (plan->marks && plan->facts.runs >= plan->retry_at) {
            region_new(plan->region_nbytes, &run->probe);
        }
        plan->facts.open++;
    }
    pthread_mutex_unlock(&registry);
    return plan ? 0 : ENOENT;
}

static void mark_kept(size_t slot, void *of) {
    struct plan *plan = of;
    __atomic_store_n(&plan->slots[slot].kept, REPLAY_KEPT, __ATOMIC_RELAXED);
    plan->marks++;
}

static void forget_marks(struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++) {
        uint64_t marked = REPLAY_KEPT;
        __atomic_compare_exchange_n(&plan->slots[i].kept, &marked, 0, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
    }
    plan->marks = 0;
}

/* Keep the marks of those slots whose blocks have outlived this run, too. */
static void review_marks(struct plan *plan, struct region *probe) {
    forget_marks(plan);
    region_each_live(probe, mark_kept, plan);
}

/* When marks are reviewed: after some runs, and after twice as many each time that some stay. */
static void be_patient(struct plan *plan, bool reviewed) {
    if (!plan->marks) {
        plan->patience = 0;
    } else if (reviewed || !plan->patience) {
        plan->patience = plan->patience ? 2 * plan->patience : PATIENCE;
        if (plan->patience > PATIENCE_MOST) plan->patience = PATIENCE_MOST;
        plan->retry_at = plan->facts.runs + plan->patience;
    }
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

/* `as_recorded`: what lives on in it lies in the slot that is its own. */
static void leave_region(struct plan *plan, struct region *region, bool as_recorded) {
    region_set_busy(region, false);
    if (region_each_live(region, as_recorded ? mark_kept : NULL, plan)) {
        if (region_count(plan) > REGIONS) drop_region(plan, region);
    }
}

void replay_end(struct run *run, bool whole) {
    struct plan *plan = run->plan;
    pthread_mutex_lock(&registry);
    /* With another number of allocations, their slots are not those of the recording. */
    const bool as_recorded = whole && run->cursor == plan->count;
    if (as_recorded && run->probe) review_marks(plan, run->probe);
    if (run->region) leave_region(plan, run->region, as_recorded);
    if (as_recorded) be_patient(plan, run->probe);
    if (run->probe) region_give_up(run->probe);
    add_counts(&plan->facts.counts, &run->counts);
    if (run->most > plan->facts.most) plan->facts.most = run->most;
    plan->facts.runs++;
    plan->facts.open--;
    plan = end_if_over(plan);
    pthread_mutex_unlock(&registry);
    if (plan) dispose(plan);
}

int onecopy_replay_facts(uint64_t id, struct replay_facts *facts) {
    pthread_mutex_lock(&registry);
    struct plan *plan = find(id);
    if (plan) {
        *facts = plan->facts;
        facts->committed = outputs_idle(plan->outputs);
        facts->moved = outputs_moved(plan->outputs);
        for (struct region *each = plan->regions; each; each = region_next(each)) {
            facts->regions++;
            facts->committed += region_committed(each);
            facts->held += !region_busy(each) && !region_empty(each);
        }
    }
    pthread_mutex_unlock(&registry);
    return plan ? 0 : ENOENT;
}
