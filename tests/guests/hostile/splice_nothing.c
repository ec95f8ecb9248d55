/* A splice that does nothing, for ever. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) { return oc_splice(0, NULL, 0); }
