/* Masks of tokens: bit i % 32 of word i / 32 says whether token i may come. */
#ifndef ONECOPY_MASKS_H
#define ONECOPY_MASKS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Nearly every mask has a token in its first words; one that has none is read 32 bytes at a time. */
static inline int is_empty(const uint32_t *mask, size_t words) {
    size_t i = 0;
    for (; i + 8 <= words; i += 8) {
        uint64_t eight[4];
        memcpy(eight, mask + i, sizeof eight);
        if (eight[0] | eight[1] | eight[2] | eight[3])
            return 0;
    }
    for (; i < words; i++)
        if (mask[i])
            return 0;
    return 1;
}

/* Forbid what is beyond the vocabulary. */
static inline void cut_off(uint32_t *mask, size_t vocabulary) {
    if (vocabulary % 32)
        mask[vocabulary / 32] &= (1u << vocabulary % 32) - 1;
}

#endif
