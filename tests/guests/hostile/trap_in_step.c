/* Traps in a step. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) { __builtin_trap(); }
