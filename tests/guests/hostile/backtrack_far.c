/* Takes back more than was generated. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) { return oc_splice(oc_control()->token_count + 1, NULL, 0); }
