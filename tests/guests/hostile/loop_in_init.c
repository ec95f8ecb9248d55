/* Does not return from init_prompt. */
#include "onecopy.h"
OC_EXPORT int init_prompt(void) {
    for (volatile int i = 0;; i++) {}
}
OC_EXPORT int mid_process(void) { return oc_stop(); }
