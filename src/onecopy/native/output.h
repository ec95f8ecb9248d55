/* output: what planned runs return, at addresses that stay the same, in memory of its actual size.
 *
 * Each output of a plan has a place with room for its bound: addresses, not memory. Where a block at
 * the place is still alive, the next one gets the same place of another range. The memory of a dead
 * block stays for the next one, until somebody asks for it: a heap would keep it for good.
 *
 * In shared ones, each block is a new memfd, and goes with the block. It begins with a free page: so that a header may be
 * written before it, and the memfd become an entry of a store as it is.
 *
 * fork: the child's view becomes private. Of a shared one it may see what the parent writes later,
 * until it has written to the same page itself.
 */
#ifndef ONECOPY_OUTPUT_H
#define ONECOPY_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export.h"

struct outputs;
struct range;

/* Places of so many bytes each, or NULL. */
struct outputs *outputs_new(const uint64_t *nbytes, size_t count, bool shared);
bool outputs_shared(const struct outputs *);

/* A block at that place, or NULL: too large, or out of descriptors, maps or addresses. */
void *outputs_take(struct outputs *, size_t place, size_t nbytes);
void outputs_give(struct range *, void *block);

/* Bytes of memory that dead blocks have left; and to give them back to the system. */
uint64_t outputs_idle(const struct outputs *);
void outputs_trim(struct outputs *);

/* They end with the last block. */
void outputs_release(struct outputs *);

/* For forks: hold all of them still; in the child, make them its own. */
void outputs_lock(void);
void outputs_unlock(void);
void outputs_inherit(void);

/* How many bytes the block has that begins at this address and has a memfd; 0 if there is none. */
EXPORT uint64_t onecopy_output_nbytes(uint64_t address);

/* Make the block's pages private, with their content, and return its memfd, which is the caller's
 * from then on; or an errno, negative. Its data begins at the second page. */
EXPORT int onecopy_output_detach(uint64_t address);

#endif
