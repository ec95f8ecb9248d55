/* Recurses deeper than any stack. */
#include "onecopy.h"
static __attribute__((noinline)) int deeper(volatile int n) { return n ? n + deeper(n + 1) : 0; }
OC_EXPORT int mid_process(void) { return deeper(1); }
