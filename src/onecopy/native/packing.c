#define _GNU_SOURCE
#include "packing.h"

#include <stdlib.h>
#include <string.h>

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
    int64_t *needed; /* Of each section: sizes of its free buffers. */
    int *crossing;   /* How many free buffers cross from it to the next. */
    int *witness;    /* A free buffer so low that all may fit; or NONE. */
    int *watched, *after, *before; /* A list for each buffer: the sections it is the witness of. */
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

/* Make room for one more item, if there is none. */
static bool grow(struct search *s, void *items, size_t count, size_t *room, size_t nbytes) {
    void **array = items;
    if (count < *room) return true;
    size_t larger = *room ? 2 * *room : 256;
    void *moved = realloc(*array, larger * nbytes);
    if (moved == NULL) {
        s->status = PACKING_NO_MEMORY;
        return false;
    }
    *array = moved;
    *room = larger;
    return true;
}

static bool note(struct search *s, struct changes *changes, int index, int64_t before) {
    if (!grow(s, &changes->items, changes->count, &changes->room, sizeof *changes->items))
        return false;
    changes->items[changes->count++] = (struct change){index, before};
    return true;
}

/* ---- witnesses ---- */

static void unwatch(struct search *s, int section) {
    int buffer = s->witness[section];
    if (buffer == NONE) return;
    int before = s->before[section], after = s->after[section];
    if (before == NONE)
        s->watched[buffer] = after;
    else
        s->after[before] = after;
    if (after != NONE) s->before[after] = before;
}

static void watch(struct search *s, int section, int buffer) {
    unwatch(s, section);
    s->witness[section] = buffer;
    if (buffer == NONE) return;
    int head = s->watched[buffer];
    s->before[section] = NONE;
    s->after[section] = head;
    if (head != NONE) s->before[head] = section;
    s->watched[buffer] = section;
}

static bool is_passed(const struct search *s, int buffer) {
    int64_t at = s->at[buffer];
    return at < s->offset || (at == s->offset && s->rank[buffer] <= s->last_rank);
}

static int64_t floor_of(const struct search *s, int buffer) {
    if (!is_passed(s, buffer)) return s->at[buffer];
    int64_t least = s->ceiling + 1;
    for (int64_t k = s->neighbours.at[buffer]; k < s->neighbours.at[buffer + 1]; k++) {
        int other = s->neighbours.items[k];
        if (s->placed[other]) continue;
        int64_t at = s->at[other] < s->offset ? s->offset : s->at[other];
        if (at + s->grid.sizes[other] < least) least = at + s->grid.sizes[other];
    }
    return least;
}

static bool is_witness(const struct search *s, int buffer, int section) {
    return buffer != NONE && !s->placed[buffer] &&
           floor_of(s, buffer) + s->needed[section] <= s->ceiling;
}

static bool check_section(struct search *s, int section) {
    if (s->needed[section] == 0 || is_witness(s, s->witness[section], section)) return true;
    for (int64_t k = s->contents.at[section]; k < s->contents.at[section + 1]; k++) {
        int buffer = s->contents.items[k];
        if (!is_witness(s, buffer, section)) continue;
        if (!note(s, &s->watches, section, s->witness[section])) return false;
        watch(s, section, buffer);
        return true;
    }
    return false;
}

static bool check_watched(struct search *s, int buffer) {
    for (int section = s->watched[buffer]; section != NONE;) {
        int after = s->after[section];
        if (!check_section(s, section)) return false;
        section = after;
    }
    return true;
}

/* ---- placing ---- */

static void count_buffer(struct search *s, int buffer, int sign) {
    const struct grid *grid = &s->grid;
    for (int64_t i = grid->span_at[buffer]; i < grid->span_at[buffer + 1]; i++)
        for (int64_t k = grid->spans[2 * i]; k < grid->spans[2 * i + 1]; k++)
            s->needed[k] += sign * grid->sizes[buffer];
    for (int k = grid_first(grid, buffer); k + 1 < grid_last(grid, buffer); k++)
        s->crossing[k] += sign;
}

static bool move_up(struct search *s, int buffer, int64_t top) {
    int64_t at = grid_align(top, s->grid.steps[buffer]);
    if (s->grid.fixed[buffer] != FREE || at > s->highest[buffer]) return false;
    if (!note(s, &s->moves, buffer, s->at[buffer])) return false;
    s->at[buffer] = at;
    return true;
}

static bool move_neighbours(struct search *s, struct frame *frame) {
    int64_t top = frame->offset + s->grid.sizes[frame->buffer];
    const struct lists *all = &s->neighbours;
    for (int64_t k = all->at[frame->buffer]; k < all->at[frame->buffer + 1]; k++) {
        int other = all->items[k];
        if (s->placed[other] || s->at[other] >= top) continue;
        frame->last = false;
        if (!move_up(s, other, top)) return false;
    }
    return true;
}

static bool check_part(const struct search *s, const struct part *part) {
    if (s->offset == part->offset) return true;
    for (int k = part->first; k < part->last; k++)
        if (s->needed[k] && s->offset + s->needed[k] > s->ceiling) return false;
    return true;
}

static bool check_own(struct search *s, int buffer) {
    for (int64_t i = s->grid.span_at[buffer]; i < s->grid.span_at[buffer + 1]; i++)
        for (int64_t k = s->grid.spans[2 * i]; k < s->grid.spans[2 * i + 1]; k++)
            if (!check_section(s, (int)k)) return false;
    return true;
}

static bool check_moved(struct search *s, const struct frame *frame) {
    for (size_t k = frame->moves; k < s->moves.count; k++)
        if (!check_watched(s, s->moves.items[k].index)) return false;
    return true;
}

static bool check_passed(struct search *s, const struct part *part) {
    for (int k = part->low; k < part->high; k++) {
        int buffer = s->order[k];
        if (!s->placed[buffer] && is_passed(s, buffer) && !check_watched(s, buffer)) return false;
    }
    return true;
}

static bool place(struct search *s, struct frame *frame) {
    frame->moves = s->moves.count;
    frame->watches = s->watches.count;
    frame->ranks = s->ranks.count;
    frame->parts = s->part_count;
    frame->placed = frame->last = true;
    s->placed[frame->buffer] = true;
    s->offset = frame->offset;
    s->last_rank = frame->rank;
    count_buffer(s, frame->buffer, -1);
    return move_neighbours(s, frame) && check_part(s, &frame->part) &&
           check_own(s, frame->buffer) && check_moved(s, frame) && check_passed(s, &frame->part);
}

static void restore(struct changes *changes, size_t count, int64_t *values) {
    while (changes->count > count) {
        struct change *change = &changes->items[--changes->count];
        values[change->index] = change->before;
    }
}

static void undo(struct search *s, struct frame *frame) {
    if (!frame->placed) return;
    while (s->watches.count > frame->watches) {
        struct change *change = &s->watches.items[--s->watches.count];
        watch(s, change->index, (int)change->before);
    }
    restore(&s->moves, frame->moves, s->at);
    restore(&s->ranks, frame->ranks, s->rank);
    count_buffer(s, frame->buffer, 1);
    s->part_count = frame->parts;
    s->placed[frame->buffer] = frame->placed = false;
}

/* ---- parts ---- */

static int compare_starts(const void *one, const void *other, void *search) {
    const struct grid *grid = &((const struct search *)search)->grid;
    int a = *(const int *)one, b = *(const int *)other;
    int first = grid_first(grid, a), second = grid_first(grid, b);
    return first != second ? first - second : a - b;
}

static int compare_crowds(const void *one, const void *other, void *search) {
    const int64_t *crowd = ((const struct search *)search)->crowd;
    int a = *(const int *)one, b = *(const int *)other;
    return crowd[a] != crowd[b] ? (crowd[a] < crowd[b]) - (crowd[a] > crowd[b]) : a - b;
}

static int64_t crowd_of(const struct search *s, int buffer) {
    int64_t most = 0;
    for (int64_t i = s->grid.span_at[buffer]; i < s->grid.span_at[buffer + 1]; i++)
        for (int64_t k = s->grid.spans[2 * i]; k < s->grid.spans[2 * i + 1]; k++)
            if (s->needed[k] > most) most = s->needed[k];
    return most;
}

static bool rank_crowded(struct search *s, struct part *part) {
    int *order = s->order + part->low, count = part->high - part->low;
    for (int i = 0; i < count; i++) s->crowd[order[i]] = crowd_of(s, order[i]);
    qsort_r(order, (size_t)count, sizeof *order, compare_crowds, s);
    for (int i = 0; i < count; i++) {
        if (!note(s, &s->ranks, order[i], s->rank[order[i]])) return false;
        s->rank[order[i]] = i;
    }
    part->rank = NONE;
    return true;
}

static bool add_part(struct search *s, struct part part) {
    if (!grow(s, &s->parts, s->part_count, &s->part_room, sizeof *s->parts)) return false;
    s->parts[s->part_count++] = part;
    return true;
}

/* Split what is left of a part where no free buffer crosses; return the first of the new parts. */
static int split(struct search *s, struct part whole) {
    int *order = s->order, begin = (int)s->part_count;
    qsort_r(order + whole.low, (size_t)(whole.high - whole.low), sizeof *order, compare_starts, s);
    for (int low = whole.low, high; low < whole.high; low = high) {
        struct part part = whole;
        part.low = low;
        part.first = part.last = grid_first(&s->grid, order[low]);
        for (high = low; high < whole.high; high++) {
            if (high > low && grid_first(&s->grid, order[high]) >= part.last) break;
            int last = grid_last(&s->grid, order[high]);
            if (last > part.last) part.last = last;
        }
        part.high = high;
        if (high < whole.high) part.next = (int)s->part_count + 1;
        if ((s->crowded && !rank_crowded(s, &part)) || !add_part(s, part)) return NONE;
    }
    return begin;
}

static bool is_cut(const struct search *s, int buffer) {
    for (int k = grid_first(&s->grid, buffer); k + 1 < grid_last(&s->grid, buffer); k++)
        if (s->crossing[k] == 0) return true;
    return false;
}

/* Return the part to solve now that the frame's buffer is placed; NONE if all are solved. */
static int remaining(struct search *s, struct frame *frame) {
    struct part part = frame->part;
    int i = part.low;
    while (s->order[i] != frame->buffer) i++;
    s->order[i] = s->order[--part.high];
    s->order[part.high] = frame->buffer;
    if (part.low == part.high) return part.next;
    part.offset = frame->offset;
    part.rank = frame->rank;
    part.fail = (int)s->depth - 1;
    if (is_cut(s, frame->buffer)) return split(s, part);
    return add_part(s, part) ? (int)s->part_count - 1 : NONE;
}

/* ---- the search ---- */

static int64_t limit_of(const struct search *s, const struct part *part) {
    int64_t limit = INT64_MAX;
    for (int i = part->low; i < part->high; i++) {
        int buffer = s->order[i];
        bool fixed = s->grid.fixed[buffer] != FREE;
        int64_t end = s->at[buffer] + (fixed ? 1 : s->grid.sizes[buffer]);
        if (end < limit) limit = end;
    }
    return limit;
}

static void enter(struct search *s, int index) {
    if (!grow(s, &s->frames, s->depth, &s->frame_room, sizeof *s->frames)) return;
    struct frame *frame = &s->frames[s->depth++];
    *frame = (struct frame){.part = s->parts[index]};
    frame->offset = frame->part.offset;
    frame->rank = frame->part.rank;
    frame->limit = limit_of(s, &frame->part);
}

static bool choose(const struct search *s, struct frame *frame) {
    int64_t offset = frame->limit, rank = NONE;
    int chosen = NONE;
    for (int i = frame->part.low; i < frame->part.high; i++) {
        int buffer = s->order[i];
        int64_t at = s->at[buffer], its = s->rank[buffer];
        if (at < frame->offset || (at == frame->offset && its <= frame->rank)) continue;
        if (at > offset || (at == offset && its >= rank)) continue;
        offset = at;
        rank = its;
        chosen = buffer;
    }
    frame->offset = offset;
    frame->rank = rank;
    frame->buffer = chosen;
    return chosen != NONE;
}

static void give_up(struct search *s) {
    int fail = s->frames[s->depth - 1].part.fail;
    while ((int)s->depth - 1 > fail) undo(s, &s->frames[--s->depth]);
    if (fail == NONE)
        s->status = PACKING_EXHAUSTED;
    else
        undo(s, &s->frames[fail]);
}

static void step(struct search *s) {
    struct frame *frame = &s->frames[s->depth - 1];
    if (frame->last || !choose(s, frame)) {
        give_up(s);
        return;
    }
    s->nodes++;
    if (!place(s, frame)) {
        undo(s, frame);
        return;
    }
    int index = remaining(s, frame);
    if (s->status != PACKING_RUNNING) return;
    if (index == NONE)
        s->status = PACKING_FOUND;
    else
        enter(s, index);
}

int onecopy_packing_run(struct search *s, int64_t nodes) {
    int64_t end = s->nodes + nodes;
    while (s->status == PACKING_RUNNING && s->nodes < end) step(s);
    return s->status;
}

int64_t onecopy_packing_nodes(const struct search *s) { return s->nodes; }

void onecopy_packing_offsets(const struct search *s, int64_t *offsets) {
    memcpy(offsets, s->at, (size_t)s->grid.count * sizeof *offsets);
}

/* ---- start and end ---- */

static void start(struct search *s) {
    const struct grid *grid = &s->grid;
    s->last_rank = NONE;
    for (int i = 0; i < grid->sections; i++) s->witness[i] = NONE;
    for (int i = 0; i < grid->count; i++) {
        s->at[i] = grid->fixed[i] == FREE ? 0 : grid->fixed[i];
        s->order[i] = i;
        s->rank[i] = i;
        s->watched[i] = NONE;
        count_buffer(s, i, 1);
        if (s->at[i] > s->highest[i]) s->status = PACKING_EXHAUSTED;
    }
    for (int i = 0; i < grid->sections && s->status == PACKING_RUNNING; i++)
        if (!check_section(s, i) && s->status == PACKING_RUNNING) s->status = PACKING_EXHAUSTED;
    if (s->status != PACKING_RUNNING) return;
    if (grid->count == 0) {
        s->status = PACKING_FOUND;
        return;
    }
    struct part whole = {0, (int)grid->count, 0, (int)grid->sections, 0, NONE, NONE, NONE};
    int index = split(s, whole);
    if (index != NONE) enter(s, index);
}

static int64_t *copy(int64_t **room, const int64_t *numbers, int64_t count) {
    int64_t *copied = *room;
    memcpy(copied, numbers, (size_t)count * sizeof *numbers);
    *room += count;
    return copied;
}

static bool copy_grid(struct search *s, const struct grid *grid, const int64_t *highest) {
    int64_t count = grid->count, spans = grid->span_at[count];
    int64_t *room = s->numbers = malloc((size_t)(5 * count + 1 + 2 * spans) * sizeof *room);
    if (room == NULL) return false;
    s->grid = *grid;
    s->grid.sizes = copy(&room, grid->sizes, count);
    s->grid.steps = copy(&room, grid->steps, count);
    s->grid.fixed = copy(&room, grid->fixed, count);
    s->grid.span_at = copy(&room, grid->span_at, count + 1);
    s->grid.spans = copy(&room, grid->spans, 2 * spans);
    s->highest = copy(&room, highest, count);
    return true;
}

#define MAKE(field, count) ((s->field = calloc((size_t)(count) + 1, sizeof *s->field)) != NULL)

static bool make(struct search *s, const struct grid *grid, const int64_t *highest) {
    int64_t count = grid->count, sections = grid->sections;
    return copy_grid(s, grid, highest) && grid_contents(&s->grid, &s->contents) &&
           grid_neighbours(&s->grid, &s->contents, &s->neighbours) && MAKE(at, count) &&
           MAKE(placed, count) && MAKE(rank, count) && MAKE(crowd, count) && MAKE(order, count) &&
           MAKE(watched, count) && MAKE(after, sections) && MAKE(before, sections) &&
           MAKE(witness, sections) && MAKE(needed, sections) && MAKE(crossing, sections);
}

struct search *onecopy_packing_new(const struct grid *grid, const int64_t *highest,
                                   int64_t ceiling, int crowded) {
    struct search *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->ceiling = ceiling;
    s->crowded = crowded;
    if (!make(s, grid, highest)) {
        onecopy_packing_free(s);
        return NULL;
    }
    start(s);
    return s;
}

void onecopy_packing_free(struct search *s) {
    if (s == NULL) return;
    lists_free(&s->contents);
    lists_free(&s->neighbours);
    void *all[] = {s->numbers, s->at,      s->placed, s->rank,     s->crowd,
                   s->order,   s->watched, s->after,  s->before,   s->witness,
                   s->needed,  s->crossing, s->frames, s->parts,   s->moves.items,
                   s->watches.items, s->ranks.items};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    free(s);
}
