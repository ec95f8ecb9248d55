/* A splice of a token that does not exist. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    static uint32_t tokens[2] = {1, 1000};
    return oc_splice(0, tokens, 2);
}
