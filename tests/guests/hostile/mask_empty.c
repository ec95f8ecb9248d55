/* A mask that allows nothing. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    static uint32_t mask[OC_MASK_WORDS(1000)];
    return oc_allow(mask);
}
