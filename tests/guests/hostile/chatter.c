/* Logs without end, control characters and text from outside of its memory too. */
#include "onecopy.h"

OC_EXPORT void attack(void) {
    for (uint32_t i = 0; i < 10000; i++) {
        oc_log((int)i, "\x1b[2J\n\xff\xfe", 8);
        oc_log(-1, (const char *)0xfffffff0, 0xffffffff);
    }
}
