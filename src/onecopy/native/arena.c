#define _GNU_SOURCE
#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap.h"
#include "space.h"

#define DEEPEST 64

/* Page tables are moved in pieces of this size where they can be. */
#define HUGE_PIECE ((size_t)2 << 20)
/* From here on moving them aside pays. */
#define MOVE_FROM ((size_t)4 << 20)

/* Page tables that a freeze has moved elsewhere, until they are dropped. */
struct aside {
    struct aside *next;
    void *at;
    size_t nbytes;
};

struct arena {
    struct heap heap; /* First: its callbacks get a pointer to it. */
    pthread_mutex_t lock;
    struct arena *next;
    uint64_t id;
    unsigned char *base;
    size_t nbytes, reserved, warm_pages;
    void *tables;
    size_t tables_nbytes;
    struct aside *aside;
    int fd, readonly;
    uint64_t blocks, used, refused, refused_bytes;
    unsigned open;
    bool held, dying;
    bool inherited; /* It is the parent's: this process was forked while it lived. */
};

/* Guards the list, and ids. Taken before an arena's own lock, never after. */
static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static struct arena *arenas;
static uint64_t last_id;

static __thread struct arena *entered[DEEPEST];
static __thread unsigned depth;

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

/* ---- what the heap asks for ---- */

/* Errors are ignored on purpose: the pages are free all the same, only not the system's. */
static void punch(struct heap *heap, size_t first, size_t pages) {
    const struct arena *arena = (struct arena *)heap;
    const size_t unit = heap->page_size;
    fallocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(first * unit),
              (off_t)(pages * unit));
}

/* Drops private copies. Of pages that are shared, it drops nothing but their mapping. */
static void discard(struct heap *heap, size_t first, size_t pages) {
    const struct arena *arena = (struct arena *)heap;
    const size_t unit = heap->page_size;
    madvise(arena->base + first * unit, pages * unit, MADV_DONTNEED);
}

/* ---- where memory is ---- */

struct arena *arena_of(const void *address) {
    enum space_kind kind;
    void *owner = space_owner(address, &kind);
    return kind == SPACE_ARENA ? owner : NULL;
}

/* ---- birth and death ---- */

static struct arena *find(uint64_t id) {
    for (struct arena *arena = arenas; arena; arena = arena->next) {
        if (arena->id == id) return arena;
    }
    return NULL;
}

/* Return the arena of that id with its lock held, or NULL. */
static struct arena *lock_arena(uint64_t id) {
    pthread_mutex_lock(&registry);
    struct arena *arena = find(id);
    if (arena) {
        pthread_mutex_lock(&arena->lock);
        if (arena->dying) {
            pthread_mutex_unlock(&arena->lock);
            arena = NULL;
        }
    }
    pthread_mutex_unlock(&registry);
    return arena;
}

static void *drop_tables(void *list) {
    for (struct aside *aside = list, *next; aside; aside = next) {
        next = aside->next;
        munmap(aside->at, aside->nbytes);
        free(aside);
    }
    return NULL;
}

static void dispose(struct arena *arena) {
    drop_tables(arena->aside);
    if (arena->base) munmap(arena->base, arena->reserved);
    if (arena->tables) munmap(arena->tables, arena->tables_nbytes);
    if (!arena->inherited) {
        close(arena->fd);
        close(arena->readonly);
    }
    pthread_mutex_destroy(&arena->lock);
    free(arena);
}

/* Unlock; and if that was the last use of the arena, end it. */
static void unlock_arena(struct arena *arena) {
    const bool last = !arena->held && !arena->open && !arena->blocks;
    arena->dying = last;
    pthread_mutex_unlock(&arena->lock);
    if (!last) return;
    pthread_mutex_lock(&registry);
    struct arena **link = &arenas;
    while (*link != arena) link = &(*link)->next;
    *link = arena->next;
    space_claim(arena->base, arena->reserved, NULL, SPACE_NOBODY);
    pthread_mutex_unlock(&registry);
    dispose(arena);
}

static int map_arena(struct arena *arena) {
    const size_t unit = page_size(), pages = arena->nbytes / unit;
    unsigned char *base;
    arena->reserved = space_reserve_granules(arena->nbytes, &base);
    if (!arena->reserved) return errno;
    arena->base = base;
    if (mmap(base, arena->nbytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
             arena->fd, 0) == MAP_FAILED) {
        return errno;
    }
    arena->tables_nbytes = heap_tables(pages);
    void *tables = mmap(NULL, arena->tables_nbytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (tables == MAP_FAILED) return errno;
    arena->tables = tables;
    heap_init(&arena->heap, tables, pages, unit);
    arena->heap.punch = punch;
    arena->heap.discard = discard;
    return 0;
}

static void watch_forks(void);

int onecopy_arena_new(int fd, int readonly, uint64_t nbytes, uint64_t warm, uint64_t *id) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const size_t unit = page_size();
    if (!nbytes || nbytes % unit || nbytes / unit >= UINT32_MAX) return EINVAL;
    pthread_once(&once, watch_forks);
    struct arena *arena = calloc(1, sizeof *arena);
    if (!arena) return ENOMEM;
    pthread_mutex_init(&arena->lock, NULL);
    arena->nbytes = nbytes;
    arena->warm_pages = warm / unit;
    arena->fd = fd;
    arena->readonly = readonly;
    arena->held = true;
    const int error = map_arena(arena);
    if (error) {
        arena->inherited = true; /* The descriptors stay the caller's. */
        dispose(arena);
        return error;
    }
    pthread_mutex_lock(&registry);
    *id = arena->id = ++last_id;
    arena->next = arenas;
    arenas = arena;
    space_claim(arena->base, arena->reserved, arena, SPACE_ARENA);
    pthread_mutex_unlock(&registry);
    return 0;
}

int onecopy_arena_release(uint64_t id) {
    struct arena *arena = lock_arena(id);
    if (!arena) return ENOENT;
    arena->held = false;
    unlock_arena(arena);
    return 0;
}

/* ---- entering it ---- */

static int open_arena(uint64_t id, struct arena **opened) {
    struct arena *arena = lock_arena(id);
    if (!arena) return ENOENT;
    const int error = arena->inherited ? ECHILD : 0;
    if (!error) {
        arena->open++;
        arena->heap.warm_pages = arena->warm_pages;
        *opened = arena;
    }
    unlock_arena(arena);
    return error;
}

static void close_arena(struct arena *arena) {
    pthread_mutex_lock(&arena->lock);
    if (!--arena->open) {
        arena->heap.warm_pages = 0;
        heap_trim(&arena->heap);
    }
    unlock_arena(arena);
}

int onecopy_arena_enter(uint64_t id) {
    if (depth == DEEPEST) return E2BIG;
    const int error = open_arena(id, &entered[depth]);
    if (!error) depth++;
    return error;
}

struct arena *arena_pin(uint64_t id) {
    struct arena *arena = NULL;
    return open_arena(id, &arena) ? NULL : arena;
}

void arena_unpin(struct arena *arena) { close_arena(arena); }

int onecopy_arena_leave(uint64_t id) {
    struct arena *arena = depth ? entered[depth - 1] : NULL;
    if (!arena || arena->id != id) return EPERM; /* Not this thread's innermost one. */
    depth--;
    close_arena(arena);
    return 0;
}

/* ---- blocks ---- */

bool arena_entered(void) { return depth > 0; }

void *arena_allocate(size_t nbytes) {
    return depth ? arena_take(entered[depth - 1], nbytes) : NULL;
}

void *arena_take(struct arena *arena, size_t nbytes) {
    if (arena->inherited) return NULL;
    void *block = NULL;
    pthread_mutex_lock(&arena->lock);
    const size_t offset = heap_take(&arena->heap, nbytes);
    if (offset == HEAP_FULL) {
        arena->refused++;
        arena->refused_bytes += nbytes;
    } else {
        arena->blocks++;
        arena->used += heap_size(&arena->heap, offset);
        block = arena->base + offset;
    }
    pthread_mutex_unlock(&arena->lock);
    return block;
}

void arena_free(struct arena *arena, void *block) {
    const size_t offset = (size_t)((unsigned char *)block - arena->base);
    pthread_mutex_lock(&arena->lock);
    arena->used -= heap_size(&arena->heap, offset);
    arena->blocks--;
    heap_give(&arena->heap, offset);
    unlock_arena(arena);
}

int onecopy_arena_facts(uint64_t id, struct arena_facts *facts) {
    struct arena *arena = lock_arena(id);
    if (!arena) return ENOENT;
    const size_t unit = arena->heap.page_size;
    *facts = (struct arena_facts){
        .base = (uintptr_t)arena->base,
        .nbytes = arena->nbytes,
        .fd = arena->inherited ? -1 : arena->fd,
        .blocks = arena->blocks,
        .used = arena->used,
        .warm = arena->heap.dirty_pages * unit,
        .frozen_or_kept = arena->heap.closed_pages * unit,
        .refused = arena->refused,
        .refused_bytes = arena->refused_bytes,
        .open = arena->open,
    };
    unlock_arena(arena);
    return 0;
}

/* ---- freezing ---- */

/* The pages that an extent touches; false unless they are all in the arena. */
static bool pages_of(const struct arena *arena, uint64_t offset, uint64_t nbytes, size_t *first,
                     size_t *pages) {
    const size_t unit = arena->heap.page_size;
    if (offset > arena->nbytes || nbytes > arena->nbytes - offset) return false;
    *first = offset / unit;
    *pages = nbytes ? (offset + nbytes - 1) / unit + 1 - *first : 0;
    return true;
}

uint64_t onecopy_arena_locate(uint64_t address, uint64_t nbytes, uint64_t *offset) {
    struct arena *arena = arena_of((void *)(uintptr_t)address);
    if (!arena || arena->inherited) return 0;
    size_t first, pages;
    *offset = address - (uintptr_t)arena->base;
    pthread_mutex_lock(&arena->lock);
    const bool clean = pages_of(arena, *offset, nbytes, &first, &pages) &&
                       !heap_any_frozen(&arena->heap, first, pages);
    pthread_mutex_unlock(&arena->lock);
    return clean ? arena->id : 0;
}

/* Move the page tables of a range elsewhere, so that mapping over it has nothing to drop.
 *
 * Who touches the range before the next mmap faults the same page of the file in again: it is a
 * shared mapping of a file, not anonymous memory, which would read as zeros. Kernels before 5.13
 * refuse this for files: then the mapping drops them. */
static void move_aside(struct arena *arena, unsigned char *at, size_t nbytes) {
    struct aside *aside = malloc(sizeof *aside);
    if (!aside) return;
    void *elsewhere = space_reserve(nbytes, HUGE_PIECE, (uintptr_t)at % HUGE_PIECE);
    const int flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
    if (elsewhere == MAP_FAILED) {
        free(aside);
    } else if (mremap(at, nbytes, nbytes, flags, elsewhere) == MAP_FAILED) {
        munmap(elsewhere, nbytes);
        free(aside);
    } else {
        madvise(elsewhere, nbytes, MADV_DONTFORK);
        *aside = (struct aside){arena->aside, elsewhere, nbytes};
        arena->aside = aside;
    }
}

/* Make pages private to this process, with their content. One mmap, so other threads see either the
 * file or a private view of it: a write that races lands in the file or in a private copy, and is
 * read back either way. */
static int map_private(const struct arena *arena, size_t first, size_t pages) {
    const size_t offset = first * arena->heap.page_size, nbytes = pages * arena->heap.page_size;
    const void *mapped =
        mmap(arena->base + offset, nbytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, arena->readonly, (off_t)offset);
    return mapped == MAP_FAILED ? errno : 0;
}

static int freeze_run(struct arena *arena, size_t first, size_t pages) {
    if (!pages) return 0;
    const size_t unit = arena->heap.page_size;
    if (pages * unit >= MOVE_FROM) move_aside(arena, arena->base + first * unit, pages * unit);
    const int error = map_private(arena, first, pages);
    if (!error) heap_close(&arena->heap, first, pages, true);
    return error;
}

/* Extents on the same or neighbouring pages freeze in one go. */
static int freeze_extents(struct arena *arena, const uint64_t *extents, size_t count) {
    size_t first = 0, end = 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = 0, pages = 0;
        pages_of(arena, extents[2 * i], extents[2 * i + 1], &at, &pages);
        if (at > end) {
            const int error = freeze_run(arena, first, end - first);
            if (error) return error;
            first = end = at;
        }
        if (at + pages > end) end = at + pages;
    }
    return freeze_run(arena, first, end - first);
}

/* They must be in order: mapping a page a second time would drop what was written to it since. */
static int check_extents(const struct arena *arena, const uint64_t *extents, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t first, pages;
        if (!pages_of(arena, extents[2 * i], extents[2 * i + 1], &first, &pages)) return EINVAL;
        if (i && extents[2 * i] < extents[2 * i - 2]) return EINVAL;
        if (heap_any_frozen(&arena->heap, first, pages)) return EBUSY;
    }
    return 0;
}

int onecopy_arena_freeze(uint64_t id, const uint64_t *extents, size_t count) {
    struct arena *arena = lock_arena(id);
    if (!arena) return ENOENT;
    int error = arena->inherited ? ECHILD : check_extents(arena, extents, count);
    if (!error) error = freeze_extents(arena, extents, count);
    unlock_arena(arena);
    return error;
}

static void drop_later(struct aside *list) {
    pthread_attr_t detached;
    pthread_t thread;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &detached, drop_tables, list)) drop_tables(list);
    pthread_attr_destroy(&detached);
}

int onecopy_arena_tidy(uint64_t id) {
    struct arena *arena = lock_arena(id);
    if (!arena) return ENOENT;
    struct aside *list = arena->aside;
    arena->aside = NULL;
    unlock_arena(arena);
    if (list) drop_later(list);
    return 0;
}

/* ---- fork ---- */

static void before_fork(void) {
    pthread_mutex_lock(&registry);
    for (struct arena *arena = arenas; arena; arena = arena->next) {
        pthread_mutex_lock(&arena->lock);
        if (!arena->inherited) heap_close_live(&arena->heap);
    }
}

static void unlock_all(void) {
    for (struct arena *arena = arenas; arena; arena = arena->next) {
        pthread_mutex_unlock(&arena->lock);
    }
    pthread_mutex_unlock(&registry);
}

/* Frozen pages are private already, with copies that a new mapping would lose. */
static void make_open_pages_private(struct arena *arena) {
    struct heap *heap = &arena->heap;
    for (size_t first = 0, run; first < heap->pages; first += run) {
        run = heap_run(heap->frozen, first, heap->pages);
        if (heap_any_frozen(heap, first, 1) || !map_private(arena, first, run)) continue;
        /* Better to die at the first touch than to write into the parent's memory. */
        munmap(arena->base + first * heap->page_size, run * heap->page_size);
    }
}

/* They are the parent's alone: at their addresses may be anything here. */
static void forget_tables(struct arena *arena) {
    for (struct aside *next; arena->aside; arena->aside = next) {
        next = arena->aside->next;
        free(arena->aside);
    }
}

static void after_fork_in_child(void) {
    for (struct arena *arena = arenas; arena; arena = arena->next) {
        if (arena->inherited) continue;
        forget_tables(arena);
        make_open_pages_private(arena);
        arena->inherited = true;
        arena->heap.punch = discard;
        close(arena->fd);
        close(arena->readonly);
    }
    unlock_all();
}

static void watch_forks(void) { pthread_atfork(before_fork, unlock_all, after_fork_in_child); }
