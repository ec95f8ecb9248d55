/* Addresses and lengths outside of memory, at its end, and such as wrap around, everywhere. */
#include "parts.h"

#define AT(address) ((void *)(uintptr_t)(address))
#define REFUSED(call) EXPECT((error = (call)) == WASI_NN_INVALID_ARGUMENT || error == WASI_NN_TOO_LARGE || \
           error == WASI_NN_UNSUPPORTED_OPERATION)

static int32_t error;
static uint32_t n;
static float out[4];

static void addresses(uint32_t bad) {
    wasi_nn_builder part = {AT(bad), 64};
    wasi_nn_tensor wrong = tensor;
    REFUSED(wasi_nn_load(AT(bad), 1, WASI_NN_ONNX, WASI_NN_CPU, &n));
    REFUSED(wasi_nn_load(&part, 1, WASI_NN_ONNX, WASI_NN_CPU, &n));
    REFUSED(wasi_nn_load(&part, 1, WASI_NN_ONNX, WASI_NN_CPU, AT(bad)));
    REFUSED(wasi_nn_load_by_name(AT(bad), 16, &n));
    REFUSED(wasi_nn_load_by_name("twice", 5, AT(bad)));
    REFUSED(wasi_nn_load_by_name_with_config(AT(bad), 16, "{}", 2, &n));
    REFUSED(wasi_nn_load_by_name_with_config("twice", 5, AT(bad), 16, &n));
    REFUSED(wasi_nn_load_by_name_with_config("twice", 5, "{}", 2, AT(bad)));
    REFUSED(wasi_nn_init_execution_context(graph, AT(bad)));
    REFUSED(wasi_nn_set_input(context, 0, AT(bad)));
    wrong.dimensions = AT(bad);
    REFUSED(wasi_nn_set_input(context, 0, &wrong));
    wrong.dimensions = shape;
    wrong.data = AT(bad);
    REFUSED(wasi_nn_set_input(context, 0, &wrong));
    REFUSED(wasi_nn_get_output(context, 0, AT(bad), 16, &n));
    REFUSED(wasi_nn_get_output(context, 0, out, sizeof out, AT(bad)));
    REFUSED(wasi_nn_get_output_single(context, 0, AT(bad), 16, &n));
    REFUSED(wasi_nn_get_output_single(context, 0, out, sizeof out, AT(bad)));
}

static void lengths(uint32_t bad) {
    wasi_nn_builder parts[2] = {{row, bad}, {row, bad}};
    wasi_nn_tensor wrong = tensor;
    REFUSED(wasi_nn_load(parts, bad, WASI_NN_ONNX, WASI_NN_CPU, &n));
    REFUSED(wasi_nn_load(parts, 1, WASI_NN_ONNX, WASI_NN_CPU, &n));
    REFUSED(wasi_nn_load(parts, 2, WASI_NN_ONNX, WASI_NN_CPU, &n));
    REFUSED(wasi_nn_load_by_name("twice", bad, &n));
    REFUSED(wasi_nn_load_by_name_with_config("twice", bad, "{}", 2, &n));
    REFUSED(wasi_nn_load_by_name_with_config("twice", 5, "{}", bad, &n));
    wrong.nbytes = bad;
    REFUSED(wasi_nn_set_input(context, 0, &wrong));
    wrong.nbytes = sizeof row;
    wrong.rank = bad;
    REFUSED(wasi_nn_set_input(context, 0, &wrong));
    REFUSED(wasi_nn_get_output(context, 0, out, bad, &n));
    REFUSED(wasi_nn_get_output_single(context, 0, out, bad, &n));
}

MAIN {
    open_model();
    expect_it_still_works();
    const uint32_t end = end_of_memory();
    const uint32_t places[] = {end - 3, end, end + 1, 0x80000000, 0xfffffff0, 0xfffffffc, 0xffffffff};
    for (uint32_t i = 0; i < sizeof places / sizeof *places; i++) addresses(places[i]);
    /* Times eight, or four, or with an address of ours added, these wrap around to little. */
    const uint32_t long_ones[] = {0x20000000, 0x20000001, 0x40000001, 0x80000000,
                                  0xffffffff, 0xfffffff0, end,        -(uint32_t)(uintptr_t)row};
    for (uint32_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++) lengths(long_ones[i]);
    REFUSED(wasi_nn_load(AT(8), 0, WASI_NN_ONNX, WASI_NN_CPU, &n));
    expect_it_still_works();
}
