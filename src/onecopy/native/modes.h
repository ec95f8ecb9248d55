/* modes: what this thread has entered, recordings and runs of plans, within one another.
 *
 * The innermost is asked first. A recording notes an allocation and passes it on; a run serves it
 * or passes it on. So a planned module within a planned or recorded one is seen by the outer one
 * through what it does not serve itself.
 */
#ifndef ONECOPY_MODES_H
#define ONECOPY_MODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export.h"
#include "record.h"

/* How many are entered; 0 for most threads, at any time. */
size_t modes_depth(void);

/* A block of the innermost run that serves it, or NULL. `level` becomes the number of modes that
 * are outside of what served it. False, and nothing has happened, if a recording refuses it. */
bool modes_allocate(size_t nbytes, void **block, size_t *level);

/* Note what was allocated in the recordings inside of `level`. */
void modes_note(size_t level, const void *block, size_t nbytes);

/* How many this thread has entered. To be asked before one enters: a leave takes it, and so works
 * also for those who were interrupted before they knew whether they had entered. */
EXPORT size_t onecopy_modes_depth(void);

/* From here on this thread records, until the leave; EPERM if it does not. */
EXPORT int onecopy_record_enter(uint64_t limit, uint64_t *id);
EXPORT int onecopy_record_leave(size_t depth, struct record_facts *);

/* From here on this thread's allocations are a run of a plan, in one of its orders, until the leave.
 * That returns a bit for each kind of miss of the run, and whether it strayed (replay.h), or -EPERM if
 * there is none. */
EXPORT int onecopy_replay_enter(uint64_t id, size_t order);
EXPORT int onecopy_replay_leave(size_t depth, int whole);

#endif
