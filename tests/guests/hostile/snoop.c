/* Leaves a secret in all of its memory; looks for what others left. */
#include "onecopy.h"

#define SECRET 0x5ec2e75e

OC_EXPORT void leave(void) {
    for (;;) {
        size_t page = __builtin_wasm_memory_grow(0, 1);
        if (page == (size_t)-1) return;
        for (uint32_t i = 0; i < 16384; i++) ((volatile uint32_t *)(page * 65536))[i] = SECRET;
    }
}

OC_EXPORT uint32_t attack(void) {
    uint32_t found = 0;
    while (__builtin_wasm_memory_grow(0, 1) != (size_t)-1) {}
    const volatile uint32_t *words = 0;
    size_t count = __builtin_wasm_memory_size(0) * 16384;
    for (size_t i = 0; i < count; i++) found += words[i] == SECRET;
    return found;
}
