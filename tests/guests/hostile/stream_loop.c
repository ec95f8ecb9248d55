/* Has the host copy for it, over and over: time that no epoch of its own code counts. */
#include "onecopy.h"

static char buffer[4 << 20];

OC_EXPORT void attack(void) {
    for (;;)
        for (uint64_t at = 0; at < 64 << 20; at += sizeof buffer) oc_read(0, at, buffer, sizeof buffer);
}
