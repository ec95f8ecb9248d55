/* grid: what is to be packed, and who meets whom. planner/packing/grid.py says what it means. */
#ifndef ONECOPY_GRID_H
#define ONECOPY_GRID_H

#include <stdbool.h>
#include <stdint.h>

#define FREE (-1)

/* Buffers, in the order in which ties between them are broken; all offsets and sizes in units. */
struct grid {
    int64_t count, sections;
    const int64_t *sizes, *steps;
    const int64_t *fixed;   /* Offsets, or FREE. */
    const int64_t *spans;   /* Pairs [first, last) of sections; ... */
    const int64_t *span_at; /* ... those of buffer i are from span_at[i] to span_at[i + 1]. */
};

/* Lists of numbers, one after the other: list i is from at[i] to at[i + 1]. */
struct lists {
    int64_t *at;
    int *items;
};

/* List the buffers of each section. False if there is no memory, here and below. */
bool grid_contents(const struct grid *grid, struct lists *contents);

/* List the buffers that meet each buffer; twice, if they do so before and after a gap. */
bool grid_neighbours(const struct grid *grid, const struct lists *contents,
                     struct lists *neighbours);

void lists_free(struct lists *lists);

static inline int grid_first(const struct grid *grid, int64_t buffer) {
    return (int)grid->spans[2 * grid->span_at[buffer]];
}

static inline int grid_last(const struct grid *grid, int64_t buffer) {
    return (int)grid->spans[2 * grid->span_at[buffer + 1] - 1];
}

static inline bool grid_lives(const struct grid *grid, int64_t buffer, int64_t section) {
    for (int64_t i = grid->span_at[buffer]; i < grid->span_at[buffer + 1]; i++)
        if (grid->spans[2 * i] <= section && section < grid->spans[2 * i + 1]) return true;
    return false;
}

/* Round an offset up to a multiple of an alignment. */
static inline int64_t grid_align(int64_t offset, int64_t step) {
    return step == 1 ? offset : (offset + step - 1) / step * step;
}

#endif
