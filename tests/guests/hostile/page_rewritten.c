/* Writes over all of the control page but for the result. */
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    struct oc_control *control = oc_control();
    __builtin_memset(control, 0xee, sizeof *control);
    __builtin_memset(&control->result, 0, sizeof control->result);
    return oc_choose(1);
}
