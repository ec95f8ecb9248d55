/* A mask whose only bits are beyond the vocabulary of 1000 tokens. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    static uint32_t mask[OC_MASK_WORDS(1000)];
    mask[31] = 0xffffff00;
    return oc_allow(mask);
}
