#define _GNU_SOURCE
#include "record.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A live block; address 0 marks a free place of the table. */
struct place {
    uintptr_t address;
    uint64_t index;
};

struct recording {
    struct recording *next;
    uint64_t id, limit;
    bool active;
    struct record_event *events;
    size_t room;
    struct place *table; /* Open addressing, at most half full; a power of two of places. */
    size_t places, used;
    struct record_facts facts;
};

/* Guards all recordings: they are rare, and short. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct recording *recordings;
static uint64_t last_id;

/* How many are active: a free looks no further if there is none. */
static unsigned active;

/* ---- the table of live blocks ---- */

static size_t home(const struct recording *recording, uintptr_t address) {
    return (size_t)((address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (recording->places - 1);
}

static size_t seek(const struct recording *recording, uintptr_t address) {
    size_t at = home(recording, address);
    while (recording->table[at].address && recording->table[at].address != address) {
        at = (at + 1) & (recording->places - 1);
    }
    return at;
}

static void put(struct recording *recording, struct place place) {
    recording->table[seek(recording, place.address)] = place;
    recording->used++;
}

/* What stood behind it moves up, so that no search ends too early. */
static void take_out(struct recording *recording, size_t at) {
    const size_t mask = recording->places - 1;
    struct place *table = recording->table;
    for (size_t next = (at + 1) & mask; table[next].address; next = (next + 1) & mask) {
        const size_t distance = (next - home(recording, table[next].address)) & mask;
        if (distance >= ((next - at) & mask)) {
            table[at] = table[next];
            at = next;
        }
    }
    table[at].address = 0;
    recording->used--;
}

static bool widen_table(struct recording *recording) {
    struct place *old = recording->table;
    const size_t places = recording->places;
    struct place *table = calloc(places ? 2 * places : 1024, sizeof *table);
    if (!table) return false;
    recording->table = table;
    recording->places = places ? 2 * places : 1024;
    recording->used = 0;
    for (size_t i = 0; i < places; i++) {
        if (old[i].address) put(recording, old[i]);
    }
    free(old);
    return true;
}

static bool make_room(struct recording *recording) {
    if (2 * recording->used >= recording->places && !widen_table(recording)) return false;
    if (recording->facts.count < recording->room) return true;
    const size_t room = recording->room ? 2 * recording->room : 1024;
    struct record_event *events = realloc(recording->events, room * sizeof *events);
    if (!events) return false;
    recording->events = events;
    recording->room = room;
    return true;
}

/* ---- what happens ---- */

bool record_admits(struct recording *recording, size_t nbytes) {
    struct record_facts *facts = &recording->facts;
    pthread_mutex_lock(&lock);
    const bool fits = nbytes <= recording->limit && facts->live <= recording->limit - nbytes;
    if (!fits) {
        facts->refused++;
        facts->refused_bytes = nbytes;
        facts->refused_live = facts->live;
    }
    pthread_mutex_unlock(&lock);
    return fits;
}

static void forget(struct recording *recording, uintptr_t address) {
    if (!recording->active || !recording->places) return;
    const size_t at = seek(recording, address);
    if (!recording->table[at].address) return;
    struct record_event *event = &recording->events[recording->table[at].index];
    take_out(recording, at);
    event->end = recording->facts.clock++;
    recording->facts.live -= event->nbytes;
}

void record_add(struct recording *recording, const void *block, size_t nbytes) {
    struct record_facts *facts = &recording->facts;
    pthread_mutex_lock(&lock);
    /* Freed out of our sight, by a deleter that is not ours, if it is still there. */
    forget(recording, (uintptr_t)block);
    if (make_room(recording)) {
        put(recording, (struct place){(uintptr_t)block, facts->count});
        recording->events[facts->count++] =
            (struct record_event){nbytes, facts->clock++, RECORD_ALIVE};
        facts->live += nbytes;
        if (facts->live > facts->peak) facts->peak = facts->live;
    } else {
        facts->broken = 1;
    }
    pthread_mutex_unlock(&lock);
}

void record_forget(const void *block) {
    if (!__atomic_load_n(&active, __ATOMIC_RELAXED)) return;
    pthread_mutex_lock(&lock);
    for (struct recording *each = recordings; each; each = each->next) {
        forget(each, (uintptr_t)block);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- birth and death ---- */

static void before_fork(void) { pthread_mutex_lock(&lock); }

static void after_fork(void) { pthread_mutex_unlock(&lock); }

static void watch_forks(void) { pthread_atfork(before_fork, after_fork, after_fork); }

struct recording *record_new(uint64_t limit, uint64_t *id) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    struct recording *recording = calloc(1, sizeof *recording);
    if (!recording) return NULL;
    recording->limit = limit;
    recording->active = true;
    pthread_mutex_lock(&lock);
    *id = recording->id = ++last_id;
    recording->next = recordings;
    recordings = recording;
    __atomic_add_fetch(&active, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lock);
    return recording;
}

void record_end(struct recording *recording, struct record_facts *facts) {
    pthread_mutex_lock(&lock);
    recording->active = false;
    __atomic_sub_fetch(&active, 1, __ATOMIC_RELAXED);
    *facts = recording->facts;
    pthread_mutex_unlock(&lock);
}

/* Take a recording that has ended out of the list. */
static struct recording *unlink_ended(uint64_t id) {
    pthread_mutex_lock(&lock);
    struct recording **link = &recordings;
    while (*link && ((*link)->id != id || (*link)->active)) link = &(*link)->next;
    struct recording *recording = *link;
    if (recording) *link = recording->next;
    pthread_mutex_unlock(&lock);
    return recording;
}

static void dispose(struct recording *recording) {
    free(recording->events);
    free(recording->table);
    free(recording);
}

void record_drop(struct recording *recording) {
    struct record_facts facts;
    record_end(recording, &facts);
    dispose(unlink_ended(recording->id));
}

int onecopy_record_take(uint64_t id, struct record_event *events) {
    struct recording *recording = unlink_ended(id);
    if (!recording) return ENOENT;
    if (events && recording->facts.count) {
        memcpy(events, recording->events, recording->facts.count * sizeof *events);
    }
    dispose(recording);
    return 0;
}
