/* Handles that stand for nothing, for the other kind, or for what is gone. */
#include "parts.h"

static void all_refuse(uint32_t handle) {
    uint32_t out = 78;
    EXPECT(wasi_nn_init_execution_context(handle, &out) == WASI_NN_INVALID_ARGUMENT && out == 78);
    EXPECT(wasi_nn_unload(handle) == WASI_NN_INVALID_ARGUMENT);
}

static void all_refuse_context(uint32_t handle) {
    float out[4] = {5};
    uint32_t n = 77;
    EXPECT(wasi_nn_set_input(handle, 0, &tensor) == WASI_NN_INVALID_ARGUMENT);
    EXPECT(wasi_nn_compute(handle) == WASI_NN_INVALID_ARGUMENT);
    EXPECT(wasi_nn_compute_single(handle) == WASI_NN_INVALID_ARGUMENT);
    EXPECT(wasi_nn_fini_single(handle) == WASI_NN_INVALID_ARGUMENT);
    EXPECT(wasi_nn_get_output(handle, 0, out, sizeof out, &n) == WASI_NN_INVALID_ARGUMENT);
    EXPECT(wasi_nn_get_output_single(handle, 0, out, sizeof out, &n) == WASI_NN_INVALID_ARGUMENT);
    EXPECT(n == 77 && out[0] == 5);
}

MAIN {
    static const uint32_t bad[] = {0, 3, 12345, 0x7fffffff, 0x80000000, 0xffffffff};
    open_model();
    for (uint32_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        all_refuse(bad[i]);
        all_refuse_context(bad[i]);
    }
    all_refuse(context);
    all_refuse_context(graph);
    expect_it_still_works();

    /* Unloaded while a context lives: both are gone, and their numbers are not used again. */
    wasi_nn_graph old_graph = graph;
    wasi_nn_context old_context = context;
    EXPECT(wasi_nn_unload(graph) == 0);
    all_refuse(old_graph);
    all_refuse_context(old_context);
    open_model();
    EXPECT(graph != old_graph && graph != old_context && context != old_context);
    all_refuse(old_graph);
    all_refuse_context(old_context);
    expect_it_still_works();
}
