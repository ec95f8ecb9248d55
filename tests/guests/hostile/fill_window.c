/* Fills a read-only window: each page becomes a private copy, outside of Wasm's own limits. */
#include "onecopy.h"

OC_EXPORT uint32_t attack(void) {
    struct oc_window *window = oc_window("data");
    __builtin_memset(oc_data(window), 0x55, window->nbytes);
    return window->nbytes;
}

OC_EXPORT uint32_t first(void) { return *(const uint32_t *)oc_data(oc_window("data")); }
