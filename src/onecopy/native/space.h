/* space: addresses that blocks come from, and whose they are.
 *
 * Whoever hands out blocks reserves its addresses in granules of 1 GiB, so that an address finds its
 * owner by a look into a table: without a lock, and in any thread.
 */
#ifndef ONECOPY_SPACE_H
#define ONECOPY_SPACE_H

#include <stddef.h>
#include <stdint.h>

#define SPACE_GRANULE (UINT64_C(1) << 30)

enum space_kind { SPACE_NOBODY, SPACE_ARENA, SPACE_REPLAY, SPACE_OUTPUT };

/* Reserve addresses from a multiple of `unit` plus `lead` on, at which nothing can be read; or
 * MAP_FAILED, with errno set. */
void *space_reserve(size_t nbytes, size_t unit, size_t lead);

/* Reserve whole granules for `nbytes`, and return how many bytes they have; 0, with errno set, if
 * there are none left. They are to be claimed when all is ready. */
size_t space_reserve_granules(size_t nbytes, unsigned char **base);

/* The granules of [base, base + nbytes) are the owner's, aligned as a pointer is; SPACE_NOBODY:
 * nobody's. To be called before they are unmapped: afterwards they may be anybody's. */
void space_claim(const void *base, size_t nbytes, void *owner, enum space_kind kind);

/* Whose address this is; `kind` says what the owner is. */
void *space_owner(const void *address, enum space_kind *kind);

#endif
