/* A stack without end. */
#include "tiny.h"

static volatile int depth;

static __attribute__((noinline)) int deeper(int x) {
    depth = x;
    if (depth < 0) return 1;
    return deeper(x + 1) + depth;
}

MAIN { proc_exit(deeper(0)); }
