/* A mask that starts inside memory and ends outside. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    return oc_allow((uint32_t *)(__builtin_wasm_memory_size(0) * 65536 - 8));
}
