/* A model's process that ends in the middle of a request, and is there again for the next. */
#include "wit_nn.h"

EXPORT int run(void)
{
    uint32_t context = context_of(TEXT("model"));
    static const char *const said[] = {"die", "ok!"};
    uint32_t dims[] = {3};
    for (int i = 0; i < 2; i++) {
        list_result out;
        named input = {{TEXT("what")}, new_tensor(dims, 1, U8, said[i], 3)};
        compute(context, &input, 1, &out);
        if (FAILED(out)) {
            print_number(error_code(out.error));
        } else {
            list bytes;
            tensor_data(((const named *)out.values.data)[0].tensor, &bytes);
            print(bytes.data, bytes.size);
        }
    }
    return 0;
}
