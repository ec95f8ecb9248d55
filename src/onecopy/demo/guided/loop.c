/* A controller of the demo that misbehaves: it allows everything for a while, and then never comes back. */
#include "onecopy.h"

#define GOOD_STEPS 5

OC_EXPORT int init_prompt(void) { return 0; }

OC_EXPORT int mid_process(void) {
    static volatile uint32_t turns;
    while (oc_control()->step >= GOOD_STEPS) turns++;
    return oc_allow(NULL);
}
