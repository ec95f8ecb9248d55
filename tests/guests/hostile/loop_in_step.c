/* Does not return from mid_process. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    for (volatile int i = 0;; i++) {}
}
