/* Calls with arguments at random, of which many are nearly right. */
#include "parts.h"

static uint32_t x = 20261128;

static uint32_t any(void) {
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    switch (x % 11) {
        case 0: return 0;
        case 1: return x >> 28;
        case 2: return 0xffffffff - (x >> 28);
        case 3: return end_of_memory() - (x >> 28);
        case 4: return (uint32_t)(uintptr_t)&tensor;
        case 5: return (uint32_t)(uintptr_t)row;
        case 6: return graph;
        case 7: return context;
        case 8: return 16;
        case 9: return 1u << (x >> 27);
        default: return x;
    }
}

#define ANY ((void *)(uintptr_t)any())

MAIN {
    open_model();
    for (int i = 0; i < 20000; i++) {
        any();
        switch (x % 10) {
            case 0: wasi_nn_load_by_name(ANY, any(), ANY); break;
            case 1: wasi_nn_load_by_name_with_config(ANY, any(), ANY, any(), ANY); break;
            case 2: wasi_nn_init_execution_context(any(), ANY); break;
            case 3: case 4: wasi_nn_set_input(any(), any() % 4, ANY); break;
            case 5: wasi_nn_compute(any()); break;
            case 6: case 7: wasi_nn_get_output(any(), any() % 4, ANY, any(), ANY); break;
            case 8: wasi_nn_compute_single(any()); break;
            default: wasi_nn_fini_single(any()); break;
        }
        /* What it has scribbled over. */
        row[0] = 1, row[1] = 2, row[2] = 3, row[3] = 4, shape[0] = 1, shape[1] = 4;
        tensor = (wasi_nn_tensor){shape, 2, WASI_NN_F32, row, sizeof row};
    }
    say("done\n");
}
