/* A model whose process ends or fails in a computation: an error, and the next request is served. */
#include "parts.h"

static int32_t computed(const char *what) {
    uint32_t length = length_of(what);
    wasi_nn_tensor text = {&length, 1, WASI_NN_U8, what, length};
    EXPECT(wasi_nn_set_input(context, 0, &text) == 0);
    return wasi_nn_compute(context);
}

MAIN {
    char out[16];
    uint32_t n = 0;
    EXPECT(load_named("bad", &graph) == 0);
    EXPECT(wasi_nn_init_execution_context(graph, &context) == 0);
    EXPECT(computed("die") == WASI_NN_RUNTIME_ERROR);
    EXPECT(wasi_nn_get_output(context, 0, out, sizeof out, &n) == WASI_NN_INVALID_ARGUMENT);
    EXPECT(computed("live") == 0);
    EXPECT(wasi_nn_get_output(context, 0, out, sizeof out, &n) == 0 && n == 4 && out[0] == 'l');
    EXPECT(computed("raise") == WASI_NN_RUNTIME_ERROR);
    EXPECT(computed("complex") == WASI_NN_UNSUPPORTED_OPERATION);
    EXPECT(computed("well") == 0);
}
