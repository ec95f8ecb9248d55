/* Types that there are not, and that the length of the data contradicts; indices likewise. */
#include "parts.h"

MAIN {
    float out[4] = {5};
    uint32_t n = 77;
    open_model();
    for (uint32_t type = 0; type < 256; type++) {
        wasi_nn_tensor wrong = tensor;
        wrong.type = (uint8_t)type;
        wrong.nbytes = 12; /* three bytes an element */
        EXPECT(wasi_nn_set_input(context, 0, &wrong) == WASI_NN_INVALID_ARGUMENT);
        wrong.nbytes = sizeof row;
        if (type > WASI_NN_I64) EXPECT(wasi_nn_set_input(context, 0, &wrong) == WASI_NN_INVALID_ARGUMENT);
    }
    static const uint32_t bad[] = {1, 2, 255, 65536, 0x7fffffff, 0x80000000, 0xffffffff};
    expect_it_still_works();
    for (uint32_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        EXPECT(wasi_nn_set_input(context, bad[i], &tensor) == WASI_NN_INVALID_ARGUMENT);
        if (bad[i] == 1) continue; /* The model has two outputs. */
        EXPECT(wasi_nn_get_output(context, bad[i], out, sizeof out, &n) == WASI_NN_INVALID_ARGUMENT);
        EXPECT(n == 77 && out[0] == 5);
    }
    expect_it_still_works();
    /* Nothing was computed in this one, nor set. */
    EXPECT(wasi_nn_init_execution_context(graph, &context) == 0);
    EXPECT(wasi_nn_compute(context) == WASI_NN_INVALID_ARGUMENT);
    EXPECT(wasi_nn_get_output(context, 0, out, sizeof out, &n) == WASI_NN_INVALID_ARGUMENT);
    expect_it_still_works();
}
