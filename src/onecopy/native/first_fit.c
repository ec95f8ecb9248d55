#include <stdlib.h>

#include "packing.h"

struct place {
    int64_t offset, end;
};

static int compare_places(const void *one, const void *other) {
    int64_t a = ((const struct place *)one)->offset, b = ((const struct place *)other)->offset;
    return (a > b) - (a < b);
}

static int64_t lowest(const struct place *taken, int count, int64_t size, int64_t step) {
    int64_t at = 0;
    for (int i = 0; i < count && taken[i].offset < at + size; i++) {
        int64_t above = grid_align(taken[i].end, step);
        if (above > at) at = above;
    }
    return at;
}

static void fit(const struct grid *grid, const struct lists *neighbours, const int64_t *order,
                struct place *taken, int64_t *offsets) {
    for (int64_t i = 0; i < grid->count; i++) offsets[i] = grid->fixed[i];
    for (int64_t i = 0; i < grid->count; i++) {
        int64_t buffer = order[i];
        int count = 0;
        if (grid->fixed[buffer] != FREE) continue;
        for (int64_t k = neighbours->at[buffer]; k < neighbours->at[buffer + 1]; k++) {
            int other = neighbours->items[k];
            int64_t at = offsets[other];
            if (at != FREE) taken[count++] = (struct place){at, at + grid->sizes[other]};
        }
        qsort(taken, (size_t)count, sizeof *taken, compare_places);
        offsets[buffer] = lowest(taken, count, grid->sizes[buffer], grid->steps[buffer]);
    }
}

static int64_t longest(const struct lists *lists, int64_t count) {
    int64_t most = 0;
    for (int64_t i = 0; i < count; i++)
        if (lists->at[i + 1] - lists->at[i] > most) most = lists->at[i + 1] - lists->at[i];
    return most;
}

int onecopy_first_fit(const struct grid *grid, int64_t orders, const int64_t *order,
                      int64_t *offsets) {
    struct lists contents = {0}, neighbours = {0};
    struct place *taken = NULL;
    bool made = grid_contents(grid, &contents) && grid_neighbours(grid, &contents, &neighbours);
    if (made) taken = malloc((size_t)(longest(&neighbours, grid->count) + 1) * sizeof *taken);
    for (int64_t i = 0; taken != NULL && i < orders; i++)
        fit(grid, &neighbours, order + i * grid->count, taken, offsets + i * grid->count);
    int status = taken == NULL ? PACKING_NO_MEMORY : 0;
    free(taken);
    lists_free(&contents);
    lists_free(&neighbours);
    return status;
}
