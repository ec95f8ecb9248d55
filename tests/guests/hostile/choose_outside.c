/* Chooses a token that does not exist. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) { return oc_choose(1000); }
