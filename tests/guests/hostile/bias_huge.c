/* Finite, but not once it is f16 or divided by a temperature. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    static struct oc_bias biases[1] = {{1, 3e38f}};
    return oc_allow_biased(NULL, biases, 1);
}
