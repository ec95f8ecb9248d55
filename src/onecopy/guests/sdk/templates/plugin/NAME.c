/* NAME: a plugin. Its functions work on tensors that the host shows it as windows.
 *
 * This one adds up a tensor of 32-bit floats, and scales another one in place. Change it as you
 * like.
 */
#include "onecopy.h"

/* Find a window, and check that it is what this code can work on. */
static float *floats(const char *name, uint32_t flags, uint32_t *count) {
    struct oc_window *window = oc_need_window(name);
    if (window->dtype != OC_F32) oc_give_up("the window must hold 32-bit floats");
    if ((window->flags & flags) != flags) oc_give_up("the window must be writable (rw)");
    *count = window->nbytes / (uint32_t)sizeof(float);
    return (float *)oc_data(window);
}

/* What is marked with OC_EXPORT can be called by the host, with numbers. */
OC_EXPORT double sum(void) {
    uint32_t count;
    const float *x = floats("x", 0, &count);
    double total = 0;
    for (uint32_t i = 0; i < count; i++) total += (double)x[i];
    oc_say_number("added up: ", count);
    return total;
}

/* Writes to a window that was given as rw are seen by everybody who has the tensor, at once. */
OC_EXPORT void scale(float factor) {
    uint32_t count;
    float *x = floats("x", OC_WRITABLE, &count);
    for (uint32_t i = 0; i < count; i++) x[i] *= factor;
}
