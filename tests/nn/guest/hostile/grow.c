/* All the memory that there is: it has an end, and the guest is told. */
#include "parts.h"

MAIN {
    uint32_t pages = 0;
    while (__builtin_wasm_memory_grow(0, 16) != (uint32_t)-1) pages += 16;
    EXPECT(pages > 16);
    volatile char *all = (volatile char *)0;
    for (uint32_t at = end_of_memory() - 65536; at < end_of_memory(); at += 4096) all[at] = 1;
    say_number(__builtin_wasm_memory_size(0));
}
