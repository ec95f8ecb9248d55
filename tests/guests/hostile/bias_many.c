/* More biases than tokens. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    static struct oc_bias biases[2000];
    return oc_allow_biased(NULL, biases, 2000);
}
