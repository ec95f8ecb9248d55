#include <stdlib.h>
#include <string.h>

#include "packing.h"

struct place {
    int64_t offset, end;
};

static int compare_places(const void *one, const void *other) {
    int64_t a = ((const struct place *)one)->offset, b = ((const struct place *)other)->offset;
    return (a > b) - (a < b);
}

struct state {
    const struct grid *grid;
    const struct lists *neighbours;
    int64_t *offsets;
    struct place *taken; /* Of neighbours that are placed, by offset. */
    int *placed;         /* All that are placed, by offset. */
    int64_t *near;       /* near[i] == b: i is a neighbour of b. */
    bool dense;
};

/* Most buffers are neighbours: all that are placed are kept in order, so that nothing is sorted. */
static int gather_dense(struct state *s, int64_t buffer, int placed) {
    const struct lists *all = s->neighbours;
    int count = 0;
    for (int64_t k = all->at[buffer]; k < all->at[buffer + 1]; k++) s->near[all->items[k]] = buffer;
    for (int i = 0; i < placed; i++) {
        int other = s->placed[i];
        int64_t at = s->offsets[other];
        if (s->near[other] == buffer)
            s->taken[count++] = (struct place){at, at + s->grid->sizes[other]};
    }
    return count;
}

static int gather_sparse(struct state *s, int64_t buffer) {
    const struct lists *all = s->neighbours;
    int count = 0;
    for (int64_t k = all->at[buffer]; k < all->at[buffer + 1]; k++) {
        int other = all->items[k];
        int64_t at = s->offsets[other];
        if (at != FREE) s->taken[count++] = (struct place){at, at + s->grid->sizes[other]};
    }
    qsort(s->taken, (size_t)count, sizeof *s->taken, compare_places);
    return count;
}

static void insert(struct state *s, int buffer, int placed) {
    int low = 0, high = placed;
    while (low < high) {
        int middle = (low + high) / 2;
        if (s->offsets[s->placed[middle]] < s->offsets[buffer])
            low = middle + 1;
        else
            high = middle;
    }
    memmove(s->placed + low + 1, s->placed + low, (size_t)(placed - low) * sizeof *s->placed);
    s->placed[low] = buffer;
}

static int64_t lowest(const struct place *taken, int count, int64_t size, int64_t step) {
    int64_t at = 0;
    for (int i = 0; i < count && taken[i].offset < at + size; i++) {
        int64_t above = grid_align(taken[i].end, step);
        if (above > at) at = above;
    }
    return at;
}

static void fit(struct state *s, const int64_t *order) {
    const struct grid *grid = s->grid;
    int placed = 0;
    for (int b = 0; b < grid->count; b++) {
        s->offsets[b] = grid->fixed[b];
        s->near[b] = FREE;
        if (s->dense && grid->fixed[b] != FREE) insert(s, b, placed++);
    }
    for (int64_t i = 0; i < grid->count; i++) {
        int64_t b = order[i];
        if (grid->fixed[b] != FREE) continue;
        int count = s->dense ? gather_dense(s, b, placed) : gather_sparse(s, b);
        s->offsets[b] = lowest(s->taken, count, grid->sizes[b], grid->steps[b]);
        if (s->dense) insert(s, (int)b, placed++);
    }
}

static bool make(struct state *s) {
    size_t count = (size_t)s->grid->count + 1, most = 1;
    for (size_t i = 0; i + 1 < count; i++) {
        size_t degree = (size_t)(s->neighbours->at[i + 1] - s->neighbours->at[i]);
        if (degree > most) most = degree;
    }
    s->taken = malloc(most * sizeof *s->taken);
    s->placed = malloc(count * sizeof *s->placed);
    s->near = malloc(count * sizeof *s->near);
    s->dense = (size_t)s->neighbours->at[s->grid->count] * 8 > count * count;
    return s->taken != NULL && s->placed != NULL && s->near != NULL;
}

int onecopy_first_fit(const struct grid *grid, int64_t orders, const int64_t *order,
                      int64_t *offsets) {
    struct lists contents = {0}, neighbours = {0};
    struct state s = {.grid = grid, .neighbours = &neighbours};
    bool made = grid_contents(grid, &contents) && grid_neighbours(grid, &contents, &neighbours) &&
                make(&s);
    for (int64_t i = 0; made && i < orders; i++) {
        s.offsets = offsets + i * grid->count;
        fit(&s, order + i * grid->count);
    }
    free(s.taken);
    free(s.placed);
    free(s.near);
    lists_free(&contents);
    lists_free(&neighbours);
    return made ? 0 : PACKING_NO_MEMORY;
}
