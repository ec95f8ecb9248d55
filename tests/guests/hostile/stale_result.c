/* Gives a result once, and relies on it to be there ever after. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) { return oc_control()->step ? 0 : oc_choose(1); }
