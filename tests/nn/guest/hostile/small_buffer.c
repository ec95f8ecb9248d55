/* Buffers that are too small: nothing is written, and the next one is served. */
#include "parts.h"

MAIN {
    uint8_t out[16 + 1];
    uint32_t n = 77;
    open_model();
    expect_it_still_works();
    for (uint32_t i = 0; i < sizeof out; i++) out[i] = 0xAB;
    for (uint32_t room = 0; room < 16; room++)
        EXPECT(wasi_nn_get_output(context, 0, out, room, &n) == WASI_NN_TOO_LARGE);
    EXPECT(n == 77);
    for (uint32_t i = 0; i < sizeof out; i++) EXPECT(out[i] == 0xAB);
    EXPECT(wasi_nn_get_output(context, 0, out, sizeof out, &n) == 0 && n == 16);
    EXPECT(out[16] == 0xAB);
    /* The buffer is where its own length goes, and the last bytes of the memory. */
    EXPECT(wasi_nn_get_output(context, 0, &n, 4, &n) == WASI_NN_TOO_LARGE && n == 16);
    uint8_t *last = (uint8_t *)(uintptr_t)(end_of_memory() - 16);
    EXPECT(wasi_nn_get_output(context, 0, last, 16, &n) == 0 && n == 16);
    EXPECT(*(float *)last == 2);
}
