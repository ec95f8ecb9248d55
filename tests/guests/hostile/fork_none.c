/* A fork into no branch. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) { return oc_fork(0); }
