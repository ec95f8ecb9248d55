/* A bias for a token that does not exist: an address beyond the row. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    static struct oc_bias biases[1] = {{1000, 0.5f}};
    return oc_allow_biased(NULL, biases, 1);
}
