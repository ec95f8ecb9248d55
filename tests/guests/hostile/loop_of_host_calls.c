/* Spends its time in host calls. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    for (;;) oc_tokenize("a", 1, NULL, 0);
}
