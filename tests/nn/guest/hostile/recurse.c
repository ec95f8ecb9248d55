/* A stack without end. */
#include "tiny.h"

static volatile int depth;

static __attribute__((noinline)) int deeper(int x) {
    depth = x;
    return deeper(x + 1) + depth;
}

MAIN { proc_exit(deeper(0)); }
