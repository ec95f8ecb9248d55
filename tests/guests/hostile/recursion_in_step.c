/* Recurses deeper than any stack; what each call keeps, and reads afterwards, is no loop in disguise. */
#include "onecopy.h"
static __attribute__((noinline)) int deeper(int n) {
    volatile int kept[16];
    if (n < 0) return 0;
    kept[n % 16] = n;
    return deeper(n + 1) + kept[n % 16];
}
OC_EXPORT int mid_process(void) { return deeper(1); }
