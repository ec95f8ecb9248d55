#define _GNU_SOURCE
#include "region.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "space.h"

/* From here on huge pages are asked for: their faults cost a fraction of those of small ones. */
#define HUGE_FROM ((size_t)16 << 20)

#define ALIGNMENT 64

/* A live block. They are sorted by address and disjoint: few live at a time. */
struct live {
    uint64_t start, end;
    size_t slot;
};

struct region {
    pthread_mutex_t lock;
    struct region *next;            /* of its plan */
    struct region *later, *earlier; /* of all */
    unsigned char *base;
    size_t limit; /* no block ends behind it */
    size_t nbytes, reserved, pages;
    struct live *live;
    size_t count, room;
    uint64_t *touched; /* a bit for each page that has memory */
    uint64_t committed;
    bool busy, given_up;
};

/* Guards the list of all regions. Taken before a region's own lock, never after. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct region *all;

void regions_lock(void) {
    pthread_mutex_lock(&list_lock);
    for (struct region *each = all; each; each = each->later) pthread_mutex_lock(&each->lock);
}

void regions_unlock(void) {
    for (struct region *each = all; each; each = each->later) pthread_mutex_unlock(&each->lock);
    pthread_mutex_unlock(&list_lock);
}

/* Memory is counted, and given back, in pages. */
static size_t page_size;

static void find_page_size(void) { page_size = (size_t)sysconf(_SC_PAGESIZE); }

static size_t pages_for(uint64_t nbytes) { return (nbytes + page_size - 1) / page_size; }

static size_t rounded(size_t nbytes) { return (nbytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* ---- birth and death ---- */

static void enlist(struct region *region) {
    pthread_mutex_lock(&list_lock);
    region->later = all;
    if (all) all->earlier = region;
    all = region;
    space_claim(region->base, region->reserved, region, SPACE_REPLAY);
    pthread_mutex_unlock(&list_lock);
}

static void dispose(struct region *region) {
    if (region->reserved) munmap(region->base, region->reserved);
    pthread_mutex_destroy(&region->lock);
    free(region->touched);
    free(region->live);
    free(region);
}

static void end(struct region *region) {
    pthread_mutex_lock(&list_lock);
    if (region->later) region->later->earlier = region->earlier;
    *(region->earlier ? &region->earlier->later : &all) = region->later;
    space_claim(region->base, region->reserved, NULL, SPACE_NOBODY);
    pthread_mutex_unlock(&list_lock);
    dispose(region);
}

static bool map_region(struct region *region) {
    unsigned char *base;
    region->reserved = space_reserve_granules(region->nbytes, &base);
    if (!region->reserved) return false;
    region->base = base;
    if (mmap(base, region->nbytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED) {
        return false;
    }
    if (region->nbytes >= HUGE_FROM) madvise(base, region->nbytes, MADV_HUGEPAGE);
    return true;
}

struct region *region_new(size_t nbytes, struct region **list) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_page_size);
    struct region *region = calloc(1, sizeof *region);
    if (!region) return NULL;
    pthread_mutex_init(&region->lock, NULL);
    region->limit = rounded(nbytes);
    region->pages = nbytes / page_size + 1;
    region->nbytes = region->pages * page_size;
    region->touched = calloc(region->pages / 64 + 1, sizeof *region->touched);
    if (!region->touched || !map_region(region)) {
        dispose(region);
        errno = ENOMEM;
        return NULL;
    }
    enlist(region);
    region->next = *list;
    *list = region;
    return region;
}

struct region *region_next(const struct region *region) { return region->next; }

struct region **region_link(struct region *region) { return &region->next; }

bool region_busy(const struct region *region) { return region->busy; }

void region_set_busy(struct region *region, bool busy) { region->busy = busy; }

bool region_empty(struct region *region) { return !region_each_live(region, NULL, NULL); }

uint64_t region_committed(const struct region *region) {
    return __atomic_load_n(&region->committed, __ATOMIC_RELAXED);
}

/* ---- memory ---- */

/* The bits of pages [first, end) that are in a word of the map. */
static uint64_t bits_of(size_t word, size_t first, size_t end) {
    const size_t start = word * 64;
    const size_t low = first > start ? first - start : 0, high = end - start < 64 ? end - start : 64;
    return (high == 64 ? ~UINT64_C(0) : (UINT64_C(1) << high) - 1) & ~UINT64_C(0) << low;
}

/* Note for pages [first, end) whether they have memory; return of how many that is new. */
static uint64_t set_touched(struct region *region, size_t first, size_t end, bool has) {
    uint64_t pages = 0;
    for (size_t word = first / 64; word * 64 < end; word++) {
        const uint64_t bits = bits_of(word, first, end), before = region->touched[word];
        region->touched[word] = has ? before | bits : before & ~bits;
        pages += (uint64_t)__builtin_popcountll(before ^ region->touched[word]);
    }
    return pages;
}

static void commit(struct region *region, const struct live *block) {
    const size_t end = pages_for(block->end);
    const uint64_t more = set_touched(region, block->start / page_size, end, true);
    __atomic_store_n(&region->committed, region->committed + more * page_size, __ATOMIC_RELAXED);
}

/* Pages without a live block, from `first` on. */
static void decommit(struct region *region, size_t first, size_t end) {
    if (first >= end) return;
    madvise(region->base + first * page_size, (end - first) * page_size, MADV_DONTNEED);
    const uint64_t less = set_touched(region, first, end, false);
    __atomic_store_n(&region->committed, region->committed - less * page_size, __ATOMIC_RELAXED);
}

/* ---- blocks ---- */

/* The first live block that ends behind `offset`, by its place in the order. */
static size_t seek(const struct region *region, uint64_t offset) {
    size_t low = 0, high = region->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (region->live[middle].end > offset) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static bool make_room(struct region *region) {
    if (region->count < region->room) return true;
    const size_t room = region->room ? 2 * region->room : 64;
    struct live *live = realloc(region->live, room * sizeof *live);
    if (!live) return false;
    region->live = live;
    region->room = room;
    return true;
}

/* Put a block at place `at` of the order, where it belongs. */
static void *insert(struct region *region, size_t at, const struct live *block) {
    if (!make_room(region)) return NULL;
    struct live *place = region->live + at;
    memmove(place + 1, place, (region->count++ - at) * sizeof *place);
    *place = *block;
    commit(region, block);
    return region->base + block->start;
}

void *region_take(struct region *region, uint64_t offset, size_t nbytes, size_t slot) {
    const struct live block = {offset, offset + rounded(nbytes), slot};
    if (block.end > region->limit) return NULL;
    pthread_mutex_lock(&region->lock);
    const size_t at = seek(region, offset);
    const bool overlaps = at < region->count && region->live[at].start < block.end;
    void *taken = overlaps ? NULL : insert(region, at, &block);
    pthread_mutex_unlock(&region->lock);
    return taken;
}

void *region_take_anywhere(struct region *region, size_t nbytes, size_t slot) {
    if (nbytes > region->limit) return NULL;
    const uint64_t need = rounded(nbytes);
    uint64_t start = 0;
    size_t at = 0;
    pthread_mutex_lock(&region->lock);
    while (at < region->count && region->live[at].start - start < need) {
        start = region->live[at++].end;
    }
    const struct live block = {start, start + need, slot};
    void *taken = block.end <= region->limit ? insert(region, at, &block) : NULL;
    pthread_mutex_unlock(&region->lock);
    return taken;
}

void region_give(struct region *region, const void *block) {
    const uint64_t offset = (uint64_t)((const unsigned char *)block - region->base);
    pthread_mutex_lock(&region->lock);
    const size_t at = seek(region, offset);
    /* Freed twice, or never taken: go no further on broken books. */
    if (at == region->count || region->live[at].start != offset) abort();
    struct live *place = region->live + at;
    memmove(place, place + 1, (--region->count - at) * sizeof *place);
    const bool last = region->given_up && !region->count;
    pthread_mutex_unlock(&region->lock);
    if (last) end(region);
}

bool region_each_live(struct region *region, void (*visit)(size_t, void *), void *of) {
    pthread_mutex_lock(&region->lock);
    const bool any = region->count > 0;
    for (size_t i = 0; visit && i < region->count; i++) visit(region->live[i].slot, of);
    pthread_mutex_unlock(&region->lock);
    return any;
}

/* Where the pages from `first` on have `need` bytes of memory; `end` if they have less. */
static size_t reach(const struct region *region, size_t first, size_t end, uint64_t need) {
    for (size_t page = first; page < end; page++) {
        if (!(region->touched[page / 64] >> page % 64 & 1)) continue;
        if (need <= page_size) return page + 1;
        need -= page_size;
    }
    return end;
}

void region_give_back(struct region *region, uint64_t offset, uint64_t nbytes, uint64_t need) {
    const size_t first = pages_for(offset);
    size_t end = (offset + nbytes) / page_size;
    pthread_mutex_lock(&region->lock);
    if (end > region->pages) end = region->pages;
    end = reach(region, first, end, need);
    const size_t at = seek(region, first * page_size);
    if (at == region->count || region->live[at].start >= end * page_size) {
        decommit(region, first, end);
    }
    pthread_mutex_unlock(&region->lock);
}

/* Pages that no live block touches. */
static void trim(struct region *region) {
    size_t first = 0;
    for (size_t i = 0; i < region->count; i++) {
        decommit(region, first, region->live[i].start / page_size);
        first = pages_for(region->live[i].end);
    }
    decommit(region, first, region->pages);
}

void region_trim(struct region *region) {
    pthread_mutex_lock(&region->lock);
    trim(region);
    pthread_mutex_unlock(&region->lock);
}

void region_give_up(struct region *region) {
    pthread_mutex_lock(&region->lock);
    region->given_up = true;
    const bool over = !region->count;
    if (!over) trim(region);
    pthread_mutex_unlock(&region->lock);
    if (over) end(region);
}
