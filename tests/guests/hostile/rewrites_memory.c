/* Writes to every page in each step: little work for it, but all of them are to be saved. */
#include "onecopy.h"
static char memory[56 << 20];
OC_EXPORT int init_prompt(void) {
    memset(memory, 1, sizeof memory);
    return 0;
}
OC_EXPORT int mid_process(void) {
    for (size_t i = 0; i < sizeof memory; i += 4096) memory[i]++;
    return oc_allow(NULL);
}
