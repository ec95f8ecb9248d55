/* Returns without a result. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) { return 0; }
