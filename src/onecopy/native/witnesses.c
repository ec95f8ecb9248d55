#include "search.h"

#include <stdlib.h>

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

void search_watch(struct search *s, int section, int buffer) {
    unwatch(s, section);
    s->witness[section] = buffer;
    if (buffer == NONE) return;
    int head = s->watched[buffer];
    s->before[section] = NONE;
    s->after[section] = head;
    if (head != NONE) s->before[head] = section;
    s->watched[buffer] = section;
}

bool search_passed(const struct search *s, int buffer) {
    int64_t at = s->at[buffer];
    return at < s->offset || (at == s->offset && s->rank[buffer] <= s->last_rank);
}

static int64_t floor_of(const struct search *s, int buffer) {
    if (!search_passed(s, buffer)) return s->at[buffer];
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

static bool change_witness(struct search *s, int section, int buffer) {
    if (!search_note(s, &s->watches, section, s->witness[section])) return false;
    search_watch(s, section, buffer);
    return true;
}

bool search_check(struct search *s, int section, int hint) {
    if (s->needed[section] == 0 || is_witness(s, s->witness[section], section)) return true;
    if (hint != NONE && grid_lives(&s->grid, hint, section) && is_witness(s, hint, section))
        return change_witness(s, section, hint);
    for (int64_t k = s->contents.at[section]; k < s->contents.at[section + 1]; k++) {
        int buffer = s->contents.items[k];
        if (is_witness(s, buffer, section)) return change_witness(s, section, buffer);
    }
    return false;
}

static int compare_numbers(const void *one, const void *other) {
    return *(const int *)one - *(const int *)other;
}

bool search_check_watched(struct search *s, int buffer) {
    int count = 0, hint = NONE;
    for (int section = s->watched[buffer]; section != NONE; section = s->after[section])
        s->checked[count++] = section;
    qsort(s->checked, (size_t)count, sizeof *s->checked, compare_numbers);
    for (int i = 0; i < count; i++) {
        if (!search_check(s, s->checked[i], hint)) return false;
        hint = s->witness[s->checked[i]];
    }
    return true;
}
