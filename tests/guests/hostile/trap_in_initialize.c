/* Traps before it was ever called. */
#include "onecopy.h"

OC_EXPORT void _initialize(void) { __builtin_trap(); }
