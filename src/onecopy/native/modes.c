#include "modes.h"

#include <errno.h>

#include "arena.h"
#include "replay.h"

#define DEEPEST 32

struct mode {
    struct recording *recording; /* NULL: a run */
    struct run run;
};

static __thread struct mode entered[DEEPEST];
static __thread size_t depth;

size_t modes_depth(void) { return depth; }

bool modes_allocate(size_t nbytes, void **block, size_t *level) {
    *block = NULL;
    for (*level = depth; *level && !*block; --*level) {
        struct mode *mode = &entered[*level - 1];
        if (!mode->recording) {
            *block = replay_allocate(&mode->run, nbytes, *level == 1 && !arena_entered());
        } else if (!record_admits(mode->recording, nbytes)) {
            return false;
        }
    }
    return true;
}

void modes_note(size_t level, const void *block, size_t nbytes) {
    for (size_t i = level; i < depth; i++) {
        if (entered[i].recording) record_add(entered[i].recording, block, nbytes);
    }
}

int onecopy_record_enter(uint64_t limit, uint64_t *id) {
    if (depth == DEEPEST) return E2BIG;
    struct recording *recording = record_new(limit, id);
    if (!recording) return ENOMEM;
    entered[depth++].recording = recording;
    return 0;
}

size_t onecopy_modes_depth(void) { return depth; }

/* Nobody asks for what came of it. */
static void abandon(struct mode *mode) {
    if (mode->recording) {
        record_drop(mode->recording);
    } else {
        replay_end(&mode->run, false);
    }
}

/* Leave the mode that was entered when `to` others were. What is entered within it is there no
 * more: an exception came between its beginning and whoever was to end it. NULL if there is none. */
static struct mode *leave(size_t to) {
    if (depth <= to) return NULL;
    while (depth > to + 1) abandon(&entered[--depth]);
    return &entered[--depth];
}

int onecopy_record_leave(size_t to, struct record_facts *facts) {
    if (depth <= to || !entered[to].recording) return EPERM;
    record_end(leave(to)->recording, facts);
    return 0;
}

int onecopy_replay_enter(uint64_t id, size_t order) {
    if (depth == DEEPEST) return E2BIG;
    struct mode *mode = &entered[depth];
    const int error = replay_begin(id, order, &mode->run);
    if (error) return error;
    mode->recording = NULL;
    depth++;
    return 0;
}

int onecopy_replay_leave(size_t to, int whole) {
    if (depth <= to || entered[to].recording) return -EPERM;
    struct run *run = &leave(to)->run;
    replay_end(run, whole);
    return replay_misses(&run->counts) | run->strayed;
}
