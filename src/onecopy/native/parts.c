#define _GNU_SOURCE
#include "search.h"

#include <stdlib.h>

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

/* Make most[k * sections + i] the most that one of sections [i, i + 2^k) of a part still needs. */
static void tabulate_needs(struct search *s, const struct part *part) {
    int64_t sections = s->grid.sections, *row = s->most;
    for (int i = part->first; i < part->last; i++) row[i] = s->needed[i];
    for (int64_t half = 1; 2 * half <= part->last - part->first; half *= 2, row += sections)
        for (int64_t i = part->first; i + 2 * half <= part->last; i++)
            row[sections + i] = row[i] > row[i + half] ? row[i] : row[i + half];
}

static int64_t crowd_of(const struct search *s, int buffer) {
    int64_t crowd = 0;
    for (int64_t i = s->grid.span_at[buffer]; i < s->grid.span_at[buffer + 1]; i++) {
        int64_t first = s->grid.spans[2 * i], last = s->grid.spans[2 * i + 1];
        int level = 63 - __builtin_clzll((unsigned long long)(last - first));
        const int64_t *row = s->most + level * s->grid.sections;
        int64_t left = row[first], right = row[last - (INT64_C(1) << level)];
        int64_t most = left > right ? left : right;
        if (most > crowd) crowd = most;
    }
    return crowd;
}

static bool rank_crowded(struct search *s, struct part *part) {
    int *order = s->order + part->low, count = part->high - part->low;
    tabulate_needs(s, part);
    for (int i = 0; i < count; i++) s->crowd[order[i]] = crowd_of(s, order[i]);
    qsort_r(order, (size_t)count, sizeof *order, compare_crowds, s);
    for (int i = 0; i < count; i++) {
        if (!search_note(s, &s->ranks, order[i], s->rank[order[i]])) return false;
        s->rank[order[i]] = i;
    }
    part->rank = NONE;
    return true;
}

static bool add_part(struct search *s, struct part part) {
    if (!search_grow(s, &s->parts, s->part_count, &s->part_room, sizeof *s->parts)) return false;
    s->parts[s->part_count++] = part;
    return true;
}

int search_split(struct search *s, struct part whole) {
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

int search_remaining(struct search *s, struct frame *frame) {
    struct part part = frame->part;
    int i = part.low;
    while (s->order[i] != frame->buffer) i++;
    s->order[i] = s->order[--part.high];
    s->order[part.high] = frame->buffer;
    if (part.low == part.high) return part.next;
    part.offset = frame->offset;
    part.rank = frame->rank;
    part.fail = (int)s->depth - 1;
    if (is_cut(s, frame->buffer)) return search_split(s, part);
    return add_part(s, part) ? (int)s->part_count - 1 : NONE;
}
