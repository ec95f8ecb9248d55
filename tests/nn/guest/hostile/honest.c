/* A guest that means no harm. */
#include "parts.h"

MAIN {
    open_model();
    expect_it_still_works();
    say("right\n");
}
