/* No attacker: what lives beside them, and must not notice. */
#include "onecopy.h"

static uint32_t calls;

OC_EXPORT uint32_t count(void) { return ++calls; }
