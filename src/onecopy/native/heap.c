#include "heap.h"

#include <stdlib.h>
#include <string.h>

enum kind { CLEAN, DIRTY, USED, CELLS, LOST };

struct heap_page {
    uint64_t free;       /* CELLS: a bit for each free cell */
    uint32_t pages;      /* first and last page of a span: how many it has */
    uint32_t prev, next; /* in a list of free spans, or of pages with free cells */
    uint8_t kind;        /* valid in the first and last page of a span */
    uint8_t cells;       /* CELLS: how many the page is cut into */
};

/* ---- bits ---- */

static bool bit(const uint64_t *bits, size_t at) { return bits[at / 64] >> at % 64 & 1; }

size_t heap_run(const uint64_t *bits, size_t first, size_t end) {
    const bool value = bit(bits, first);
    const uint64_t same = value ? ~UINT64_C(0) : 0;
    size_t at = first + 1;
    while (at < end) {
        if (at % 64 == 0 && bits[at / 64] == same) {
            at += 64;
        } else if (bit(bits, at) == value) {
            at++;
        } else {
            break;
        }
    }
    return (at < end ? at : end) - first;
}

static size_t set_bits(uint64_t *bits, size_t first, size_t count) {
    size_t changed = 0;
    for (size_t at = first, end = first + count; at < end;) {
        const size_t low = at % 64, width = end - at < 64 - low ? end - at : 64 - low;
        const uint64_t mask = (width == 64 ? ~UINT64_C(0) : (UINT64_C(1) << width) - 1) << low;
        changed += (size_t)__builtin_popcountll(mask & ~bits[at / 64]);
        bits[at / 64] |= mask;
        at += width;
    }
    return changed;
}

static bool any_bit(const uint64_t *bits, size_t first, size_t count) {
    return count && (bit(bits, first) || heap_run(bits, first, first + count) < count);
}

/* ---- lists ---- */

static void push(struct heap *heap, uint32_t *head, uint32_t at) {
    heap->page[at].prev = HEAP_NONE;
    heap->page[at].next = *head;
    if (*head != HEAP_NONE) heap->page[*head].prev = at;
    *head = at;
}

static void unlink_page(struct heap *heap, uint32_t *head, uint32_t at) {
    const struct heap_page *page = &heap->page[at];
    if (page->prev == HEAP_NONE) {
        *head = page->next;
    } else {
        heap->page[page->prev].next = page->next;
    }
    if (page->next != HEAP_NONE) heap->page[page->next].prev = page->prev;
}

/* ---- spans of pages ---- */

/* Sizes below 16 have a bin each; above, eight bins for each power of two. */
static unsigned bin_of(uint32_t pages) {
    if (pages < 8) return pages;
    const unsigned log = 31 - (unsigned)__builtin_clz(pages);
    return (log - 2) * 8 + (pages >> (log - 3) & 7);
}

static void mark(struct heap *heap, uint32_t first, uint32_t pages, enum kind kind) {
    struct heap_page *ends[] = {&heap->page[first], &heap->page[first + pages - 1]};
    for (int i = 0; i < 2; i++) {
        ends[i]->kind = (uint8_t)kind;
        ends[i]->pages = pages;
    }
}

static void insert(struct heap *heap, uint32_t first, uint32_t pages, enum kind kind) {
    struct heap_bins *bins = &heap->bins[kind];
    const unsigned bin = bin_of(pages);
    mark(heap, first, pages, kind);
    push(heap, &bins->head[bin], first);
    bins->used[bin / 64] |= UINT64_C(1) << bin % 64;
    if (kind == DIRTY) heap->dirty_pages += pages;
}

static uint32_t extract(struct heap *heap, uint32_t first, enum kind kind) {
    struct heap_bins *bins = &heap->bins[kind];
    const uint32_t pages = heap->page[first].pages;
    const unsigned bin = bin_of(pages);
    unlink_page(heap, &bins->head[bin], first);
    if (bins->head[bin] == HEAP_NONE) bins->used[bin / 64] &= ~(UINT64_C(1) << bin % 64);
    if (kind == DIRTY) heap->dirty_pages -= pages;
    return pages;
}

/* Make a span free, as one with its free neighbours of the same kind. */
static void release(struct heap *heap, uint32_t first, uint32_t pages, enum kind kind) {
    if (first > 0 && heap->page[first - 1].kind == kind) {
        const uint32_t left = heap->page[first - 1].pages;
        first -= left;
        pages += extract(heap, first, kind);
    }
    const uint32_t after = first + pages;
    if (after < heap->pages && heap->page[after].kind == kind) {
        pages += extract(heap, after, kind);
    }
    insert(heap, first, pages, kind);
}

static uint32_t find(const struct heap *heap, uint32_t pages, enum kind kind) {
    const struct heap_bins *bins = &heap->bins[kind];
    unsigned bin = bin_of(pages);
    const uint32_t first = bins->head[bin];
    if (first != HEAP_NONE && heap->page[first].pages >= pages) return first;
    for (bin++; bin < HEAP_BINS; bin = (bin / 64 + 1) * 64) {
        const uint64_t larger = bins->used[bin / 64] >> bin % 64;
        if (larger) return bins->head[bin + (unsigned)__builtin_ctzll(larger)];
    }
    return HEAP_NONE;
}

static uint32_t take_kind(struct heap *heap, uint32_t pages, enum kind kind) {
    const uint32_t first = find(heap, pages, kind);
    if (first == HEAP_NONE) return HEAP_NONE;
    const uint32_t found = extract(heap, first, kind);
    if (found > pages) insert(heap, first + pages, found - pages, kind);
    mark(heap, first, pages, USED);
    return first;
}

static uint32_t take_span(struct heap *heap, size_t pages) {
    if (pages > heap->pages) return HEAP_NONE;
    uint32_t first = take_kind(heap, (uint32_t)pages, DIRTY);
    if (first == HEAP_NONE) first = take_kind(heap, (uint32_t)pages, CLEAN);
    if (first == HEAP_NONE && heap->dirty_pages) {
        heap_trim(heap); /* Dirty and clean neighbours become one. */
        first = take_kind(heap, (uint32_t)pages, CLEAN);
    }
    return first;
}

/* Free an open span: kept warm while there is room for it, else given to the system at once. */
static void give_open(struct heap *heap, uint32_t first, uint32_t pages) {
    if (heap->dirty_pages + pages <= heap->warm_pages) {
        release(heap, first, pages, DIRTY);
    } else {
        heap->punch(heap, first, pages);
        release(heap, first, pages, CLEAN);
    }
}

/* Free a span of which some pages may be closed: those are lost to this heap. */
static void give_span(struct heap *heap, uint32_t first, uint32_t pages) {
    const uint32_t end = first + pages;
    while (first < end) {
        const bool lost = heap->closed_pages && bit(heap->closed, first);
        const uint32_t run =
            heap->closed_pages ? (uint32_t)heap_run(heap->closed, first, end) : end - first;
        /* What follows must not look like a free neighbour of this run. */
        if (first + run < end) mark(heap, first + run, end - first - run, LOST);
        if (lost) {
            mark(heap, first, run, LOST);
            heap->discard(heap, first, run);
        } else {
            give_open(heap, first, run);
        }
        first += run;
    }
}

/* ---- cells ---- */

static size_t cell_unit(const struct heap *heap) { return heap->page_size / HEAP_CELLS; }

static size_t cell_size(const struct heap *heap, unsigned cells) {
    return heap->page_size / cells & ~(cell_unit(heap) - 1);
}

static uint64_t all_free(unsigned cells) { return ~UINT64_C(0) >> (64 - cells); }

/* Return a page with a free cell. Closed ones leave the list here: closing does not look for them. */
static uint32_t page_with_cell(struct heap *heap, unsigned cells) {
    uint32_t *head = &heap->partial[cells];
    while (*head != HEAP_NONE && bit(heap->closed, *head)) unlink_page(heap, head, *head);
    if (*head == HEAP_NONE) {
        const uint32_t first = take_span(heap, 1);
        if (first == HEAP_NONE) return HEAP_NONE;
        struct heap_page *page = &heap->page[first];
        page->kind = CELLS;
        page->cells = (uint8_t)cells;
        page->free = all_free(cells);
        push(heap, head, first);
    }
    return *head;
}

static size_t take_cell(struct heap *heap, size_t nbytes) {
    const size_t unit = cell_unit(heap);
    const unsigned cells = (unsigned)(heap->page_size / ((nbytes + unit - 1) / unit * unit));
    const uint32_t at = page_with_cell(heap, cells);
    if (at == HEAP_NONE) return HEAP_FULL;
    struct heap_page *page = &heap->page[at];
    const unsigned cell = (unsigned)__builtin_ctzll(page->free);
    page->free &= page->free - 1;
    if (!page->free) unlink_page(heap, &heap->partial[cells], at);
    return at * heap->page_size + cell * cell_size(heap, cells);
}

static void give_cell(struct heap *heap, uint32_t at, size_t inside) {
    struct heap_page *page = &heap->page[at];
    const uint64_t cell = UINT64_C(1) << inside / cell_size(heap, page->cells);
    if (page->free & cell) abort(); /* Freed twice: go no further on broken books. */
    const bool was_full = !page->free;
    page->free |= cell;
    const bool empty = page->free == all_free(page->cells);
    if (bit(heap->closed, at)) {
        if (empty) heap->discard(heap, at, 1);
    } else if (empty) {
        if (!was_full) unlink_page(heap, &heap->partial[page->cells], at);
        give_open(heap, at, 1);
    } else if (was_full) {
        push(heap, &heap->partial[page->cells], at);
    }
}

/* ---- the heap ---- */

static size_t bitmap(size_t pages) { return (pages + 63) / 64 * sizeof(uint64_t); }

size_t heap_tables(size_t pages) { return pages * sizeof(struct heap_page) + 2 * bitmap(pages); }

void heap_init(struct heap *heap, void *tables, size_t pages, size_t page_size) {
    heap->page_size = page_size;
    heap->pages = (uint32_t)pages;
    heap->closed = tables;
    heap->frozen = heap->closed + bitmap(pages) / sizeof(uint64_t);
    heap->page = (struct heap_page *)(heap->frozen + bitmap(pages) / sizeof(uint64_t));
    memset(heap->bins[CLEAN].head, 0xff, sizeof heap->bins[CLEAN].head);
    memset(heap->bins[DIRTY].head, 0xff, sizeof heap->bins[DIRTY].head);
    memset(heap->partial, 0xff, sizeof heap->partial);
    insert(heap, 0, heap->pages, CLEAN);
}

size_t heap_take(struct heap *heap, size_t nbytes) {
    if (nbytes <= heap->page_size / 2) return take_cell(heap, nbytes);
    /* Rounded without overflow: a request may be absurd. */
    const size_t pages = nbytes / heap->page_size + (nbytes % heap->page_size != 0);
    const uint32_t first = take_span(heap, pages);
    return first == HEAP_NONE ? HEAP_FULL : first * heap->page_size;
}

void heap_give(struct heap *heap, size_t offset) {
    const uint32_t at = (uint32_t)(offset / heap->page_size);
    const struct heap_page *page = &heap->page[at];
    if (page->kind == CELLS) {
        give_cell(heap, at, offset % heap->page_size);
    } else if (page->kind == USED) {
        give_span(heap, at, page->pages);
    } else {
        abort();
    }
}

size_t heap_size(const struct heap *heap, size_t offset) {
    const struct heap_page *page = &heap->page[offset / heap->page_size];
    return page->kind == CELLS ? cell_size(heap, page->cells) : page->pages * heap->page_size;
}

void heap_trim(struct heap *heap) {
    for (unsigned bin = 0; bin < HEAP_BINS; bin++) {
        uint32_t first;
        while ((first = heap->bins[DIRTY].head[bin]) != HEAP_NONE) {
            const uint32_t pages = extract(heap, first, DIRTY);
            heap->punch(heap, first, pages);
            release(heap, first, pages, CLEAN);
        }
    }
}

void heap_close(struct heap *heap, size_t first, size_t pages, bool frozen) {
    heap->closed_pages += set_bits(heap->closed, first, pages);
    if (frozen) set_bits(heap->frozen, first, pages);
}

void heap_close_live(struct heap *heap) {
    for (uint32_t at = 0; at < heap->pages; at += heap->page[at].pages) {
        const struct heap_page *page = &heap->page[at];
        if (page->kind == USED || page->kind == CELLS) heap_close(heap, at, page->pages, false);
    }
}

bool heap_any_frozen(const struct heap *heap, size_t first, size_t pages) {
    return heap->closed_pages && any_bit(heap->frozen, first, pages);
}
