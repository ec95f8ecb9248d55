/* Fills the log, with what is three times as long once it is text. */
#include "onecopy.h"
static char line[1000];
OC_EXPORT int mid_process(void) {
    memset(line, 0xff, sizeof line);
    for (int i = 0; i < 300; i++) oc_log(1, line, sizeof line);
    return oc_allow(NULL);
}
