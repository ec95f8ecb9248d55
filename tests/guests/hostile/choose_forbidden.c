/* Chooses a token that its own mask forbids. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    static uint32_t mask[OC_MASK_WORDS(1000)];
    oc_mask_allow(mask, 5);
    oc_allow(mask);
    return oc_choose(6);
}
