/* A result of a kind that does not exist. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    oc_control()->result.kind = 99;
    return 0;
}
