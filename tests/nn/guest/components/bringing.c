/* A model that the guest brings: its bytes are MODEL. */
#include "wit_nn.h"

static const unsigned char model[] = {MODEL};

EXPORT int run(void)
{
    list part = {model, sizeof model};
    handle_result graph;
    load(&part, 1, ENCODING, 0, &graph);
    if (FAILED(graph)) {
        print_error(graph.handle);
        return 1;
    }
    handle_result context;
    list_result out;
    float x[] = {1, 2, 3, 4};
    uint32_t dims[] = {1, 4};
    init_execution_context(graph.handle, &context);
    named input = {{TEXT("x")}, new_tensor(dims, 2, FP32, x, sizeof x)};
    compute(context.handle, &input, 1, &out);
    list bytes;
    tensor_data(((const named *)out.values.data)[0].tensor, &bytes);
    print_number((uint32_t)((const float *)bytes.data)[3]);
    return 0;
}
