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
    for (size_t i = 0; i < REPLAY_ORDERS; i++) free(plan->orders[i]);
    free(plan);
}

static struct plan *plan_new(const struct replay_slot *slots, size_t count,
                             const struct replay_outputs *how) {
    struct plan *plan = calloc(1, sizeof *plan);
    if (!plan) return NULL;
    plan->orders[0] = order_new(slots, count);
    plan->outputs = places_for(slots, count, how);
    if (how->pool) plan->pool = arena_pin(how->pool);
    if (!plan->orders[0] || !plan->outputs || (how->pool && !plan->pool)) {
        dispose(plan);
        return NULL;
    }
    plan->facts.orders = 1;
    plan->places = how->places;
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

static bool has_room(const struct plan *plan, const struct replay_slot *slots, size_t count) {
    bool fits = region_size(slots, count) <= plan->region_nbytes;
    for (size_t i = 0; i < count; i++) fits = fits && slots[i].kept <= plan->places;
    return fits;
}

/* With the registry's lock held. */
static int add_order(struct plan *plan, struct order *order, uint64_t *number) {
    if (!plan) return ENOENT;
    if (!has_room(plan, order->slots, order->count)) return EFBIG;
    if (plan->facts.orders == REPLAY_ORDERS) return ENOSPC;
    *number = plan->facts.orders++;
    plan->orders[*number] = order;
    return 0;
}

int onecopy_replay_add(uint64_t id, const struct replay_slot *slots, size_t count,
                       uint64_t *number) {
    struct order *order = order_new(slots, count);
    if (!order) return ENOMEM;
    pthread_mutex_lock(&registry);
    const int error = add_order(find(id), order, number);
    pthread_mutex_unlock(&registry);
    if (error) free(order);
    return error;
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

int replay_begin(uint64_t id, size_t number, struct run *run) {
    pthread_mutex_lock(&registry);
    struct plan *plan = find(id);
    if (plan && number >= plan->facts.orders) plan = NULL;
    if (plan) {
        struct order *order = plan->orders[number];
        *run = (struct run){.plan = plan, .order = order, .serial = ++last_serial};
        run->region = take_region(plan);
        run->aside = committed_idle(plan);
        if (order->marks && plan->facts.runs >= order->retry_at) {
            region_new(plan->region_nbytes, &run->probe);
        }
        plan->facts.open++;
    }
    pthread_mutex_unlock(&registry);
    return plan ? 0 : ENOENT;
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

/* `order`, or NULL: in whose slots what lives on in it lies. */
static void leave_region(struct plan *plan, struct region *region, struct order *order) {
    region_set_busy(region, false);
    if (region_each_live(region, order ? order_mark_kept : NULL, order)) {
        if (region_count(plan) > REGIONS) drop_region(plan, region);
    }
}

/* A run had so many allocations, and that is not what was expected. */
static int stray(const struct plan *plan, size_t count) {
    size_t alike = plan->facts.orders;
    while (alike && plan->orders[alike - 1]->count != count) alike--;
    return REPLAY_STRAYED | (int)alike << REPLAY_ALIKE_SHIFT;
}

void replay_end(struct run *run, bool whole) {
    struct plan *plan = run->plan;
    struct order *order = run->order;
    pthread_mutex_lock(&registry);
    /* With another number of allocations, their slots are not those of the recording. */
    const bool as_recorded = whole && run->cursor == order->count;
    if (as_recorded && run->probe) order_review(order, run->probe);
    if (run->region) leave_region(plan, run->region, as_recorded ? order : NULL);
    if (as_recorded) order_be_patient(order, plan->facts.runs, run->probe);
    if (whole && !as_recorded) run->strayed = stray(plan, run->cursor);
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
