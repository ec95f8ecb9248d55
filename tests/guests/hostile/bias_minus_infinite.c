/* An infinite bias for each token: a row without any finite number. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    static struct oc_bias biases[1000];
    for (uint32_t i = 0; i < 1000; i++) biases[i] = (struct oc_bias){i, -__builtin_inff()};
    return oc_allow_biased(NULL, biases, 1000);
}
