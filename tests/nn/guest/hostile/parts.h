/* What the attacks share: a model from one f32 row of four to another, known as `twice`. */
#ifndef PARTS_H
#define PARTS_H

#include "tiny.h"

static float row[4] = {1, 2, 3, 4};
static uint32_t shape[2] = {1, 4};
static wasi_nn_tensor tensor = {shape, 2, WASI_NN_F32, row, sizeof row};
static wasi_nn_graph graph;
static wasi_nn_context context;

static inline void open_model(void) {
    EXPECT(load_named("twice", &graph) == 0);
    EXPECT(wasi_nn_init_execution_context(graph, &context) == 0);
}

/* Whatever was tried, the next honest request works. */
static inline void expect_it_still_works(void) {
    float out[4];
    uint32_t nbytes = 0;
    EXPECT(wasi_nn_set_input(context, 0, &tensor) == 0);
    EXPECT(wasi_nn_compute(context) == 0);
    EXPECT(wasi_nn_get_output(context, 0, out, sizeof out, &nbytes) == 0);
    EXPECT(nbytes == sizeof out && out[0] == 2 && out[3] == 8);
}

static inline uint32_t end_of_memory(void) { return __builtin_wasm_memory_size(0) * 65536u; }

#endif
