/* Hands the host addresses that are not its own, in every function that takes one. */
#include "onecopy.h"

OC_EXPORT int attack(void) {
    char *const wrong = (char *)0xfffffff0;
    int right = 1;
    right &= oc_config(wrong, 0x7fffffff) == OC_ERR_RANGE;
    oc_log(1, wrong, 100);
    oc_log(1, wrong, 0xffffffff);
    oc_fail(wrong, 0xffffffff);
    return right;
}
