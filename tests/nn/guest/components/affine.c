/* Two inferences with a model of one input and one output; prints what came back. */
#include "wit_nn.h"

EXPORT int run(void)
{
    uint32_t dims[] = {1, 4};
    float x[] = {1, 2, 3, 4};
    uint32_t context = context_of(TEXT(MODEL));
    if (!context)
        return 1;
    for (int round = 0; round < 2; round++, x[0] += 1) {
        list_result out;
        named input = {{TEXT(INPUT)}, new_tensor(dims, 2, FP32, x, sizeof x)};
        compute(context, &input, 1, &out);
        if (FAILED(out)) {
            print_error(out.error);
            return 1;
        }
        const named *outputs = out.values.data;
        list bytes, shape;
        tensor_data(outputs[0].tensor, &bytes);
        tensor_dimensions(outputs[0].tensor, &shape);
        print(outputs[0].name.data, outputs[0].name.size);
        print(TEXT("\n"));
        print_number(out.values.size);
        print_number(tensor_ty(outputs[0].tensor));
        for (uint32_t i = 0; i < shape.size; i++)
            print_number(((const uint32_t *)shape.data)[i]);
        for (uint32_t i = 0; i < bytes.size / 4; i++)
            print_number((uint32_t)((const float *)bytes.data)[i]);
        drop_tensor(outputs[0].tensor);
    }
    drop_context(context);
    return 0;
}
