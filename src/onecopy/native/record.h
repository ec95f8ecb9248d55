/* record: what a thread asks of torch's CPU allocator while it records, and when it is freed.
 *
 * Time is logical: it advances by one with every allocation and every free. Allocations of other
 * threads are no part of a recording, frees by them are. A recording that has been left is kept
 * until it is taken; blocks that live on then are nobody's business any more.
 */
#ifndef ONECOPY_RECORD_H
#define ONECOPY_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export.h"

struct recording;

#define RECORD_ALIVE UINT64_MAX

struct record_event {
    uint64_t nbytes, start, end; /* `end` is RECORD_ALIVE for what outlived the recording. */
};

struct record_facts {
    uint64_t count;                  /* allocations */
    uint64_t clock;                  /* the time at which it ended */
    uint64_t live, peak;             /* bytes, as they were asked for */
    uint64_t refused;                /* allocations that would have exceeded the limit */
    uint64_t refused_bytes, refused_live; /* of the last one, and what lived beside it */
    uint64_t broken;                 /* there was no memory to write it down */
};

/* Whether `nbytes` more are within the limit. If not, the refusal is counted. */
bool record_admits(struct recording *, size_t nbytes);

void record_add(struct recording *, const void *block, size_t nbytes);

/* To be called before a block is freed, whoever made it: afterwards its address may be reused. */
void record_forget(const void *block);

struct recording *record_new(uint64_t limit, uint64_t *id);
void record_end(struct recording *, struct record_facts *);

/* End it, and nobody takes it. */
void record_drop(struct recording *);

/* Move the events of a recording that has ended to `events`, which has room for all; or nowhere. */
EXPORT int onecopy_record_take(uint64_t id, struct record_event *events);

#endif
