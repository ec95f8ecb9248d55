/* The engine's copy of the masks that workers wrote.
 *
 * A worker that was taken over may write to its rows at any time, so what was checked there may be
 * something else when it is used. A copy is checked instead, and hosts see that.
 */
#include "export.h"
#include "masks.h"

/* Copy rows, `stride` bytes apart, to `masks`, where they follow one another; rows without a token are put at
 * the front of `rows`. Returns how many these are. */
EXPORT long onecopy_take_masks(uint32_t *masks, const uint8_t *from, size_t stride, size_t vocabulary,
                               uint32_t *rows, long count) {
    const size_t words = (vocabulary + 31) / 32;
    long empty = 0;
    for (long i = 0; i < count; i++) {
        uint32_t *mask = masks + rows[i] * words;
        memcpy(mask, from + rows[i] * stride, 4 * words);
        cut_off(mask, vocabulary);
        if (is_empty(mask, words))
            rows[empty++] = rows[i];
    }
    return empty;
}
