/* Writes to many pages in each step, so that states to roll back to share nothing. */
#include "onecopy.h"

static volatile uint32_t pages[4 << 20 >> 2];

OC_EXPORT int mid_process(void) {
    for (uint32_t i = 0; i < sizeof pages / 4; i += 1024) pages[i] = oc_control()->step + 1;
    return oc_choose(1);
}
