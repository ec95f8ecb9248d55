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

int onecopy_record_leave(uint64_t id, struct record_facts *facts) {
    struct recording *recording = depth ? entered[depth - 1].recording : NULL;
    if (!recording || record_id(recording) != id) return EPERM; /* Not this thread's innermost. */
    depth--;
    record_end(recording, facts);
    return 0;
}

int onecopy_replay_enter(uint64_t id) {
    if (depth == DEEPEST) return E2BIG;
    struct mode *mode = &entered[depth];
    const int error = replay_begin(id, &mode->run);
    if (error) return error;
    mode->recording = NULL;
    depth++;
    return 0;
}

int64_t onecopy_replay_leave(uint64_t id, int whole) {
    struct mode *mode = depth ? &entered[depth - 1] : NULL;
    if (!mode || mode->recording || replay_id(&mode->run) != id) return -EPERM;
    depth--;
    const struct replay_counts *counts = &mode->run.counts;
    replay_end(&mode->run, whole);
    return (int64_t)(counts->too_large + counts->blocked + counts->beyond);
}
