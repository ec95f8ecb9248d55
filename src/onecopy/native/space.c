#define _GNU_SOURCE
#include "space.h"

#include <errno.h>
#include <sys/mman.h>

#define GRANULE_BITS 30
#define ADDRESS_BITS 48
#define KINDS UINT64_C(3)

_Static_assert(SPACE_GRANULE == UINT64_C(1) << GRANULE_BITS, "one granule, one entry");
_Static_assert(SPACE_OUTPUT <= KINDS, "a kind fits into the low bits of a pointer");

/* Owners, with the kind in the low bits: one load finds both. */
static uint64_t granules[1 << (ADDRESS_BITS - GRANULE_BITS)];

void *space_reserve(size_t nbytes, size_t unit, size_t lead) {
    unsigned char *all =
        mmap(NULL, nbytes + unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) return MAP_FAILED;
    const size_t before = (lead + unit - (uintptr_t)all % unit) % unit;
    if (before) munmap(all, before);
    if (before < unit) munmap(all + before + nbytes, unit - before);
    return all + before;
}

size_t space_reserve_granules(size_t nbytes, unsigned char **base) {
    const size_t reserved = (nbytes + SPACE_GRANULE - 1) / SPACE_GRANULE * SPACE_GRANULE;
    *base = space_reserve(reserved, SPACE_GRANULE, 0);
    if (*base == MAP_FAILED) return 0;
    if (((uintptr_t)*base + reserved) >> ADDRESS_BITS) {
        munmap(*base, reserved);
        errno = ENOMEM;
        return 0;
    }
    return reserved;
}

void space_claim(const void *base, size_t nbytes, void *owner, enum space_kind kind) {
    const size_t first = (uintptr_t)base >> GRANULE_BITS;
    for (size_t i = 0; i < nbytes >> GRANULE_BITS; i++) {
        __atomic_store_n(&granules[first + i], (uintptr_t)owner | kind, __ATOMIC_RELEASE);
    }
}

void *space_owner(const void *address, enum space_kind *kind) {
    const uint64_t granule = (uint64_t)(uintptr_t)address >> GRANULE_BITS;
    uint64_t owner = SPACE_NOBODY;
    if (granule < sizeof granules / sizeof *granules) {
        owner = __atomic_load_n(&granules[granule], __ATOMIC_ACQUIRE);
    }
    *kind = (enum space_kind)(owner & KINDS);
    return (void *)(uintptr_t)(owner & ~KINDS);
}
