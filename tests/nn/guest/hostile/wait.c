/* A computation that takes for ever: it says so first. */
#include "parts.h"

MAIN {
    EXPECT(load_named("forever", &graph) == 0);
    EXPECT(wasi_nn_init_execution_context(graph, &context) == 0);
    EXPECT(wasi_nn_set_input(context, 0, &tensor) == 0);
    say("computing\n");
    EXPECT(wasi_nn_compute(context) == 0);
}
