/* heap: which pages of an arena are whose.
 *
 * Book-keeping only: it never touches the memory that it hands out, and its own tables lie
 * elsewhere, since whoever maps the arena's file would see them there. The caller locks.
 *
 * Small blocks share a page, cut into 2 to 64 equal cells. Larger ones get whole pages. Free spans
 * of pages are kept in lists by size, two-level segregated fit (Masmano et al., "TLSF", ECRTS 2004),
 * so that taking and giving back is O(1) however many blocks there are.
 *
 * A free span is DIRTY (its pages are in memory, warm) or CLEAN (they went back to the system).
 * A CLOSED page is never handed out nor given back to the system again: it belongs to a saved entry
 * or to a forked child. A FROZEN one is closed, and private to this process.
 */
#ifndef ONECOPY_HEAP_H
#define ONECOPY_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_NONE UINT32_MAX
#define HEAP_BINS 256
#define HEAP_CELLS 64
#define HEAP_FULL SIZE_MAX

struct heap_page;

struct heap_bins {
    uint32_t head[HEAP_BINS];
    uint64_t used[HEAP_BINS / 64];
};

struct heap {
    size_t page_size;
    uint32_t pages;
    struct heap_page *page;              /* one for each page; only ends of spans are valid */
    uint64_t *closed, *frozen;           /* one bit for each page */
    struct heap_bins bins[2];            /* free spans: clean ones, dirty ones */
    uint32_t partial[HEAP_CELLS + 1];    /* pages with free cells, by how many cells they have */
    size_t dirty_pages, closed_pages;
    size_t warm_pages;                   /* how many free pages may stay dirty */
    void (*punch)(struct heap *, size_t first, size_t pages);   /* give back to the system */
    void (*discard)(struct heap *, size_t first, size_t pages); /* drop this process's copies */
};

/* Bytes of zeroed memory that the tables of a heap of so many pages need. */
size_t heap_tables(size_t pages);
void heap_init(struct heap *, void *tables, size_t pages, size_t page_size);

/* Return the offset of a block of at least `nbytes` > 0, or HEAP_FULL. */
size_t heap_take(struct heap *, size_t nbytes);

/* Give back the block at `offset`. */
void heap_give(struct heap *, size_t offset);

/* Bytes that the block at `offset` occupies. */
size_t heap_size(const struct heap *, size_t offset);

/* Give all free pages back to the system. */
void heap_trim(struct heap *);

/* Close pages, as frozen ones or not; close all pages of live blocks. */
void heap_close(struct heap *, size_t first, size_t pages, bool frozen);
void heap_close_live(struct heap *);

/* Say whether any of these pages is frozen. */
bool heap_any_frozen(const struct heap *, size_t first, size_t pages);

/* Return how many bits from `first` on, but before `end`, are like the first. */
size_t heap_run(const uint64_t *bits, size_t first, size_t end);

#endif
