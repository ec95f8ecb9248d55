/* A fork into ten thousand. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) { return oc_fork(10000); }
