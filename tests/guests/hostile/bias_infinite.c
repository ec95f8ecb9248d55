/* An infinite bias. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    static struct oc_bias biases[1] = {{1, __builtin_inff()}};
    return oc_allow_biased(NULL, biases, 1);
}
