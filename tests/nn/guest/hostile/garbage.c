/* Bytes that are no model, and encodings that there are not. The backends' own tests have more: each
 * load starts a process, and the libraries of some take seconds to import. */
#include "parts.h"

static uint8_t bytes[4096];

static void tried(uint32_t encoding, uint32_t count, uint32_t nbytes) {
    wasi_nn_builder parts[2] = {{bytes, nbytes}, {bytes + 7, nbytes}};
    wasi_nn_graph loaded = 77;
    int32_t error = wasi_nn_load(parts, count, encoding, WASI_NN_CPU, &loaded);
    EXPECT(error == WASI_NN_INVALID_ARGUMENT || error == WASI_NN_INVALID_ENCODING ||
           error == WASI_NN_UNSUPPORTED_OPERATION);
    EXPECT(loaded == 77);
}

MAIN {
    open_model();
    uint32_t x = 12345;
    for (uint32_t i = 0; i < sizeof bytes; i++) {
        x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        bytes[i] = (uint8_t)x;
    }
    tried(WASI_NN_ONNX, 1, sizeof bytes - 8);
    tried(WASI_NN_TENSORFLOW, 2, 100);
    tried(WASI_NN_ONNX, 1, 0);
    static const uint32_t none[] = {7, 8, 11, 12, 255, 256, 0x80000000, 0xffffffff};
    for (uint32_t i = 0; i < sizeof none / sizeof *none; i++) tried(none[i], 1, 100);
    wasi_nn_builder part = {bytes, 100};
    wasi_nn_graph loaded;
    EXPECT(wasi_nn_load(&part, 1, WASI_NN_ONNX, 4, &loaded) == WASI_NN_INVALID_ARGUMENT);
    EXPECT(wasi_nn_load(&part, 1, WASI_NN_ONNX, 0xffffffff, &loaded) == WASI_NN_INVALID_ARGUMENT);
    expect_it_still_works();
}
