/* Reads far outside of its memory. */
#include "onecopy.h"

OC_EXPORT uint32_t attack(void) { return *(volatile uint32_t *)0xfffffff0; }
