/* Ten thousand contexts, and as many graphs: the host has an end to that, and goes on. */
#include "parts.h"

MAIN {
    uint32_t made = 0, refused = 0;
    open_model();
    for (int i = 0; i < 10000; i++) {
        wasi_nn_context other;
        int32_t error = wasi_nn_init_execution_context(graph, &other);
        EXPECT(error == 0 || error == WASI_NN_TOO_LARGE);
        error ? refused++ : made++;
        if (!error && i < 50) EXPECT(wasi_nn_set_input(other, 0, &tensor) == 0);
    }
    EXPECT(made > 100 && refused > 1000);
    expect_it_still_works();
    wasi_nn_graph first = graph;
    EXPECT(load_named("twice", &graph) == 0);
    EXPECT(wasi_nn_init_execution_context(graph, &context) == WASI_NN_TOO_LARGE);
    EXPECT(wasi_nn_unload(first) == 0);
    EXPECT(wasi_nn_init_execution_context(graph, &context) == 0);
    expect_it_still_works();

    made = refused = 0;
    for (int i = 0; i < 200; i++) {
        wasi_nn_graph other;
        int32_t error = load_named("twice", &other);
        EXPECT(error == 0 || error == WASI_NN_TOO_LARGE);
        error ? refused++ : made++;
    }
    EXPECT(made > 10 && refused > 10);
    expect_it_still_works();
}
