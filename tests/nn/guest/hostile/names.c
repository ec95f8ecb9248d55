/* Names of models that are none, that lead to files, or that are no text. */
#include "parts.h"

static char longest[1 << 17];

MAIN {
    wasi_nn_graph loaded = 77;
    open_model();
    EXPECT(load_named("", &loaded) == WASI_NN_MODEL_NOT_FOUND);
    EXPECT(load_named("twic", &loaded) == WASI_NN_MODEL_NOT_FOUND);
    EXPECT(load_named("../../../etc/passwd", &loaded) == WASI_NN_MODEL_NOT_FOUND);
    EXPECT(load_named("/etc/passwd", &loaded) == WASI_NN_MODEL_NOT_FOUND);
    EXPECT(load_named("default/twice", &loaded) == WASI_NN_MODEL_NOT_FOUND);
    EXPECT(wasi_nn_load_by_name("twice\0", 6, &loaded) == WASI_NN_MODEL_NOT_FOUND);
    EXPECT(wasi_nn_load_by_name("\xff\xfe", 2, &loaded) == WASI_NN_INVALID_ARGUMENT);
    for (uint32_t i = 0; i < sizeof longest; i++) longest[i] = '[';
    EXPECT(wasi_nn_load_by_name(longest, sizeof longest, &loaded) == WASI_NN_TOO_LARGE);
    EXPECT(wasi_nn_load_by_name(longest, 1000, &loaded) == WASI_NN_MODEL_NOT_FOUND);
    /* Options that are no JSON, or nested so deeply that a parser could run out of stack. */
    EXPECT(wasi_nn_load_by_name_with_config("twice", 5, "{", 1, &loaded) != 0);
    EXPECT(wasi_nn_load_by_name_with_config("twice", 5, longest, 60000, &loaded) != 0);
    EXPECT(wasi_nn_load_by_name_with_config("twice", 5, longest, sizeof longest, &loaded) == WASI_NN_TOO_LARGE);
    EXPECT(loaded == 77);
    expect_it_still_works();
}
