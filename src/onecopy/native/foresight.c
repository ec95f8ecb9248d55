/* A grammar's answer that was there before the guest asked for it.
 *
 * Most guests ask their grammar the same in each call. So the worker asks it for all of its rows,
 * then calls the guests, and here they get what is ready, without a way through the interpreter
 * (decoding/foresight.py). Whatever else a guest asks goes to the function in Python.
 */
#include <string.h>

#include "export.h"
#include "guests.h"

enum { NOTHING, READY, TAKEN };

/* Of one guest; decoding/foresight.py lays it out. */
struct foresight {
    uint8_t *base;            /* of the guest's memory */
    uint64_t inside;          /* bytes that it has at least: it never shrinks */
    const uint8_t *mask;      /* the answer, if `status` is 0 */
    uint64_t nbytes;          /* of it */
    host_function *otherwise; /* what does all else */
    int32_t grammar;          /* the handle that will be asked */
    int32_t status;           /* what it will answer */
    int32_t state;
};

/* The import `grammar_step(grammar, mask)`; docs/guest-abi.md. */
EXPORT void *onecopy_grammar_step(void *env, void *caller, union cell *cells, size_t count) {
    struct foresight *seen = env;
    const uint64_t address = cells[1].u32;
    if (seen->state != READY || cells[0].i32 != seen->grammar || address & 3
        || address + seen->nbytes > seen->inside)
        return seen->otherwise(env, caller, cells, count);
    if (seen->status == 0)
        memcpy(seen->base + address, seen->mask, seen->nbytes);
    seen->state = TAKEN;
    cells[0].i32 = seen->status;
    return NULL;
}
