/* search: what the files of the packing search share. packing.h is what others see of it.
 *
 * Each file has its like in planner/packing: witnesses.c, parts.c; packing.c is search.py, board.py.
 */
#ifndef ONECOPY_SEARCH_H
#define ONECOPY_SEARCH_H

#include <stddef.h>

#include "packing.h"

#define NONE (-1)

/* Free buffers that nothing connects to other free ones: a problem of its own. */
struct part {
    int low, high;        /* They are order[low:high]. */
    int first, last;      /* Their sections. */
    int64_t offset, rank; /* What is placed next comes after this. */
    int fail;             /* The frame to go back to when there is no plan for it; or NONE. */
    int next;             /* The part to solve after it; or NONE. */
};

/* One step of the search: buffers of a part, tried in turn. */
struct frame {
    struct part part;
    int64_t offset, rank;                /* The place in turn of the buffer that is tried. */
    int buffer;
    int64_t limit;                       /* What is tried has to be below it. */
    size_t moves, watches, ranks, parts; /* Lengths of stacks before it was placed. */
    bool placed;
    bool last;                           /* If this one fails, all others do. */
};

struct change {
    int index;
    int64_t before;
};

struct changes {
    struct change *items;
    size_t count, room;
};

struct search {
    struct grid grid;
    int64_t *numbers; /* What the grid points to. */
    int64_t *highest;
    int64_t ceiling;
    bool crowded;
    struct lists neighbours, contents;
    int64_t *at; /* Of each buffer: where it is, or would be placed now. */
    bool *placed;
    int64_t *rank;
    int64_t *crowd;  /* The most that is still needed in one of its sections. */
    int64_t *most;   /* A table of such maxima. */
    int64_t *needed; /* Of each section: sizes of its free buffers. */
    int *crossing;   /* How many free buffers cross from it to the next. */
    int *witness;    /* A free buffer so low that all may fit; or NONE. */
    int *watched, *after, *before; /* A list for each buffer: the sections it is the witness of. */
    int *checked;                  /* The list that is being gone through. */
    int *order;
    struct frame *frames;
    size_t depth, frame_room;
    struct part *parts;
    size_t part_count, part_room;
    struct changes moves, watches, ranks;
    int64_t offset, last_rank; /* What was placed last. */
    int64_t nodes;
    enum packing_status status;
};

/* Make room for one more item of so many bytes, if there is none; `items` points to the array. */
bool search_grow(struct search *s, void *items, size_t count, size_t *room, size_t nbytes);

/* Remember a value that is about to change. */
bool search_note(struct search *s, struct changes *changes, int index, int64_t before);

/* Say whether the free buffers of a section may still fit above its lowest one. `hint` is tried
 * before all others as a witness; it may be NONE. */
bool search_check(struct search *s, int section, int hint);

/* Check the sections whose witness a buffer is. */
bool search_check_watched(struct search *s, int buffer);

/* Make a buffer, or NONE, the witness of a section. */
void search_watch(struct search *s, int section, int buffer);

/* Say whether a free buffer's turn at its offset has gone by. */
bool search_passed(const struct search *s, int buffer);

/* Split what is left of a part where no free buffer crosses; return the first of the new parts. */
int search_split(struct search *s, struct part whole);

/* Return the part to solve now that the frame's buffer is placed; NONE if all are solved. */
int search_remaining(struct search *s, struct frame *frame);

#endif
