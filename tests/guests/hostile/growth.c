/* Asks for memory until there is no more, and writes to all of it. */
#include "onecopy.h"

OC_EXPORT uint32_t attack(void) {
    uint32_t grown = 0;
    for (;;) {
        size_t page = __builtin_wasm_memory_grow(0, 1);
        if (page == (size_t)-1) return grown;
        __builtin_memset((void *)(page * 65536), 0xAA, 65536);
        grown++;
    }
}
