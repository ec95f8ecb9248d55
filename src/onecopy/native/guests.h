/* What wasmtime's C API expects of those that call it and are called by it, as far as we use it. */
#ifndef ONECOPY_GUESTS_H
#define ONECOPY_GUESTS_H

#include <stddef.h>
#include <stdint.h>

/* An argument or a result of an unchecked call. */
union cell {
    int32_t i32;
    uint32_t u32;
    uint8_t bytes[16];
};

typedef void *host_function(void *env, void *caller, union cell *cells, size_t count);

#endif
