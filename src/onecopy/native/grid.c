#include "grid.h"

#include <stdlib.h>

/* Make room for lists of these lengths, which become 0, to be counted again as items come. */
static bool lists_make(struct lists *lists, int64_t *lengths, int64_t count) {
    lists->at = malloc((size_t)(count + 1) * sizeof *lists->at);
    if (lists->at == NULL) return false;
    lists->at[0] = 0;
    for (int64_t i = 0; i < count; i++) {
        lists->at[i + 1] = lists->at[i] + lengths[i];
        lengths[i] = 0;
    }
    lists->items = malloc((size_t)(lists->at[count] + 1) * sizeof *lists->items);
    return lists->items != NULL;
}

void lists_free(struct lists *lists) {
    free(lists->at);
    free(lists->items);
}

bool grid_contents(const struct grid *grid, struct lists *contents) {
    int64_t *lengths = calloc((size_t)grid->sections + 1, sizeof *lengths);
    if (lengths == NULL) return false;
    int64_t spans = grid->span_at[grid->count];
    for (int64_t i = 0; i < spans; i++)
        for (int64_t s = grid->spans[2 * i]; s < grid->spans[2 * i + 1]; s++) lengths[s]++;
    bool made = lists_make(contents, lengths, grid->sections);
    for (int b = 0; made && b < grid->count; b++)
        for (int64_t i = grid->span_at[b]; i < grid->span_at[b + 1]; i++)
            for (int64_t s = grid->spans[2 * i]; s < grid->spans[2 * i + 1]; s++)
                contents->items[contents->at[s] + lengths[s]++] = b;
    free(lengths);
    return made;
}

static bool starts_at(const struct grid *grid, int buffer, int64_t section) {
    for (int64_t i = grid->span_at[buffer]; i < grid->span_at[buffer + 1]; i++)
        if (grid->spans[2 * i] == section) return true;
    return false;
}

/* A span meets what lives in its first section, and what starts in a later one, which finds it. Of
 * two that start together the first buffer finds the other. */
static void find_pairs(const struct grid *grid, const struct lists *contents, int64_t *lengths,
                       struct lists *into) {
    for (int b = 0; b < grid->count; b++) {
        for (int64_t i = grid->span_at[b]; i < grid->span_at[b + 1]; i++) {
            int64_t s = grid->spans[2 * i];
            for (int64_t k = contents->at[s]; k < contents->at[s + 1]; k++) {
                int other = contents->items[k];
                if (other == b || (other < b && starts_at(grid, other, s))) continue;
                if (into != NULL) {
                    into->items[into->at[b] + lengths[b]] = other;
                    into->items[into->at[other] + lengths[other]] = b;
                }
                lengths[b]++;
                lengths[other]++;
            }
        }
    }
}

/* Gone through twice: pairs are counted, then written down. */
bool grid_neighbours(const struct grid *grid, const struct lists *contents,
                     struct lists *neighbours) {
    int64_t *lengths = calloc((size_t)grid->count + 1, sizeof *lengths);
    if (lengths == NULL) return false;
    find_pairs(grid, contents, lengths, NULL);
    bool made = lists_make(neighbours, lengths, grid->count);
    if (made) find_pairs(grid, contents, lengths, neighbours);
    free(lengths);
    return made;
}
