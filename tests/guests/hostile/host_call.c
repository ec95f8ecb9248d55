/* Calls the host; the test lets that call hang. */
#include "onecopy.h"

OC_EXPORT int attack(void) {
    static char buffer[16];
    return oc_config(buffer, sizeof buffer);
}
