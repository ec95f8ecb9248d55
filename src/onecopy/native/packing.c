#include "search.h"

#include <stdlib.h>

bool search_grow(struct search *s, void *items, size_t count, size_t *room, size_t nbytes) {
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

bool search_note(struct search *s, struct changes *changes, int index, int64_t before) {
    if (!search_grow(s, &changes->items, changes->count, &changes->room, sizeof *changes->items))
        return false;
    changes->items[changes->count++] = (struct change){index, before};
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
    if (!search_note(s, &s->moves, buffer, s->at[buffer])) return false;
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
    int hint = NONE;
    for (int64_t i = s->grid.span_at[buffer]; i < s->grid.span_at[buffer + 1]; i++)
        for (int64_t k = s->grid.spans[2 * i]; k < s->grid.spans[2 * i + 1]; k++) {
            if (!search_check(s, (int)k, hint)) return false;
            hint = s->witness[k];
        }
    return true;
}

static bool check_moved(struct search *s, const struct frame *frame) {
    for (size_t k = frame->moves; k < s->moves.count; k++)
        if (!search_check_watched(s, s->moves.items[k].index)) return false;
    return true;
}

static bool check_passed(struct search *s, const struct part *part) {
    for (int k = part->low; k < part->high; k++) {
        int buffer = s->order[k];
        if (s->placed[buffer] || !search_passed(s, buffer)) continue;
        if (!search_check_watched(s, buffer)) return false;
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
        search_watch(s, change->index, (int)change->before);
    }
    restore(&s->moves, frame->moves, s->at);
    restore(&s->ranks, frame->ranks, s->rank);
    count_buffer(s, frame->buffer, 1);
    s->part_count = frame->parts;
    s->placed[frame->buffer] = frame->placed = false;
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
    if (!search_grow(s, &s->frames, s->depth, &s->frame_room, sizeof *s->frames)) return;
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
    int index = search_remaining(s, frame);
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
    for (int64_t i = 0; i < s->grid.count; i++) offsets[i] = s->at[i];
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
    for (int i = 0, hint = NONE; i < grid->sections && s->status == PACKING_RUNNING; i++) {
        if (!search_check(s, i, hint) && s->status == PACKING_RUNNING)
            s->status = PACKING_EXHAUSTED;
        hint = s->witness[i];
    }
    if (s->status != PACKING_RUNNING) return;
    if (grid->count == 0) {
        s->status = PACKING_FOUND;
        return;
    }
    struct part whole = {0, (int)grid->count, 0, (int)grid->sections, 0, NONE, NONE, NONE};
    int index = search_split(s, whole);
    if (index != NONE) enter(s, index);
}

static int64_t *copy(int64_t **room, const int64_t *numbers, int64_t count) {
    int64_t *copied = *room;
    /* Not memcpy: an empty array may be NULL. */
    for (int64_t i = 0; i < count; i++) copied[i] = numbers[i];
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
    int64_t count = grid->count, sections = grid->sections, levels = 1;
    while (INT64_C(1) << levels <= sections) levels++;
    return copy_grid(s, grid, highest) && grid_contents(&s->grid, &s->contents) &&
           grid_neighbours(&s->grid, &s->contents, &s->neighbours) && MAKE(at, count) &&
           MAKE(placed, count) && MAKE(rank, count) && MAKE(crowd, count) && MAKE(order, count) &&
           MAKE(watched, count) && MAKE(after, sections) && MAKE(before, sections) &&
           MAKE(checked, sections) && MAKE(most, levels * sections) &&
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
                   s->watches.items, s->ranks.items, s->checked, s->most};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    free(s);
}
