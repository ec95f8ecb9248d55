/* Shapes without elements, negative ones, and such as multiply to something small by wrapping. */
#include "parts.h"

static void refused(uint32_t rank, const uint32_t *dimensions, uint32_t nbytes) {
    wasi_nn_tensor wrong = {dimensions, rank, WASI_NN_F32, row, nbytes};
    EXPECT(wasi_nn_set_input(context, 0, &wrong) == WASI_NN_INVALID_ARGUMENT);
}

MAIN {
    static const uint32_t many[20] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    open_model();
    refused(1, (uint32_t[]){0}, 0);
    refused(2, (uint32_t[]){0, 4}, 16);
    refused(2, (uint32_t[]){0, 0xffffffff}, 0);
    refused(1, (uint32_t[]){(uint32_t)-4}, 16);
    refused(2, (uint32_t[]){(uint32_t)-1, (uint32_t)-4}, 16);
    refused(2, (uint32_t[]){65536, 65536}, 0);
    refused(2, (uint32_t[]){0x40000001, 4}, 16);
    refused(3, (uint32_t[]){0x80000000, 0x80000000, 4}, 0);
    refused(2, (uint32_t[]){1, 5}, 16);
    refused(2, (uint32_t[]){1, 4}, 15);
    refused(17, many, 4);
    refused(20, many, 4);
    refused(0xffffffff, many, 4);
    expect_it_still_works();

    /* As many dimensions as there may be, and none. */
    wasi_nn_tensor most = {many, 16, WASI_NN_F32, row, 4}, least = {many, 0, WASI_NN_F32, row, 4};
    EXPECT(wasi_nn_set_input(context, 0, &most) == 0 && wasi_nn_compute(context) == 0);
    EXPECT(wasi_nn_set_input(context, 0, &least) == 0 && wasi_nn_compute(context) == 0);
    expect_it_still_works();
}
