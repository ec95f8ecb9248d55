/* Computes for ever, and computes nothing. */
#include "tiny.h"

MAIN {
    for (volatile int x = 0;; x++)
        ;
}
