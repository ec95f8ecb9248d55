/* arena: a memfd, mapped shared, out of which blocks are taken.
 *
 * Arenas are named by an id that is never used again, so a stale one finds nothing. An arena lives
 * as long as its maker holds it, a thread has it entered, or a block of it lives; then it is
 * unmapped and its descriptors are closed. Functions return 0, or an errno.
 *
 * fork: the child's view becomes private, so nothing that it writes or frees reaches the parent. It
 * takes no further blocks. Pages that were in use at the fork are not reused or given back by the
 * parent either: the child goes on reading them.
 */
#ifndef ONECOPY_ARENA_H
#define ONECOPY_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export.h"

struct arena;

struct arena_facts {
    uint64_t base, nbytes;
    int64_t fd;
    uint64_t blocks, used;               /* live blocks, and the bytes that they occupy */
    uint64_t warm, frozen_or_kept;       /* bytes of free pages kept; of pages never used again */
    uint64_t refused, refused_bytes;     /* allocations that found no room here */
    uint64_t open;                       /* how many blocks of code have it entered */
};

/* The arena that holds the block at `address`, or NULL for anybody else's memory. */
struct arena *arena_of(const void *address);

/* A block out of the arena that this thread has entered last; NULL if none, or if it has no room. */
void *arena_allocate(size_t nbytes);
void arena_free(struct arena *, void *block);

/* Keep an arena for those who take blocks of it without entering it, and free pages warm; or NULL. */
struct arena *arena_pin(uint64_t id);
void arena_unpin(struct arena *);
void *arena_take(struct arena *, size_t nbytes);

/* Whether this thread has entered one. */
bool arena_entered(void);

/* Take over two descriptors of one memfd of `nbytes`, the second one read-only and opened for
 * itself. While it is entered, up to `warm` bytes of free pages are kept for reuse. */
EXPORT int onecopy_arena_new(int fd, int readonly, uint64_t nbytes, uint64_t warm, uint64_t *id);

/* From here on this thread allocates in the arena; until the matching leave. */
EXPORT int onecopy_arena_enter(uint64_t id);
EXPORT int onecopy_arena_leave(uint64_t id);

/* Its maker holds it no longer. */
EXPORT int onecopy_arena_release(uint64_t id);

EXPORT int onecopy_arena_facts(uint64_t id, struct arena_facts *);

/* Return the id of the arena that holds these bytes in shared, unfrozen pages, and their offset in
 * its file; 0 if none does. Whoever asks keeps the bytes alive meanwhile. */
EXPORT uint64_t onecopy_arena_locate(uint64_t address, uint64_t nbytes, uint64_t *offset);

/* Make the pages of these extents (offset and size of each, in ascending order) private to this
 * process, with their content; EBUSY, and nothing changed, if some already are. What a freeze
 * leaves behind, old page tables, stays until a tidy or the arena's end. */
EXPORT int onecopy_arena_freeze(uint64_t id, const uint64_t *extents, size_t count);

/* Drop what freezes have left behind, in a thread: for 512 MiB it takes ten milliseconds. */
EXPORT int onecopy_arena_tidy(uint64_t id);

#endif
