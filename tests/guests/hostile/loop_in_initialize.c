/* Never returns from its own initialization. */
#include "onecopy.h"

static volatile uint32_t turns;

OC_EXPORT void _initialize(void) {
    for (;;) turns++;
}
