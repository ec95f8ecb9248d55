/* Never returns. */
#include "onecopy.h"

static volatile uint32_t turns;

OC_EXPORT void attack(void) {
    for (;;) turns++;
}
