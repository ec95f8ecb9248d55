/* Calls itself until no stack is left. */
#include "onecopy.h"

__attribute__((noinline)) static uint32_t deeper(volatile uint32_t *above) {
    volatile uint32_t here = *above + 1;
    if (!here) return 0; /* after all 32 bits; or the compiler sees what this is */
    return deeper(&here) + here;
}

OC_EXPORT int mid_process(void) {
    volatile uint32_t first = 0;
    return (int)deeper(&first);
}
