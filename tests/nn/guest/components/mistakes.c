/* Mistakes that are answered by errors, on one context, which works on. */
#include "wit_nn.h"

static const float x[] = {1, 2, 3, 4};
static const uint32_t dims[] = {1, 4};

static void try(uint32_t context, const named *inputs, uint32_t count)
{
    list_result out;
    compute(context, inputs, count, &out);
    if (FAILED(out))
        print_error(out.error);
    else
        print_number(out.values.size);
    print(TEXT("\n"));
}

EXPORT int run(void)
{
    context_of(TEXT("nobody"));
    print(TEXT("\n"));
    uint32_t context = context_of(TEXT("affine"));
    named good = {{TEXT("x")}, new_tensor(dims, 2, FP32, x, sizeof x)};
    named unknown = {{TEXT("z")}, new_tensor(dims, 2, FP32, x, sizeof x)};
    named second = {{TEXT("1")}, new_tensor(dims, 2, FP32, x, sizeof x)};
    named small = {{TEXT("x")}, new_tensor(dims, 2, FP32, x, sizeof x - 1)};
    named type = {{TEXT("x")}, new_tensor(dims, 2, BF16, x, sizeof x / 2)};
    named twice[] = {{{TEXT("x")}, new_tensor(dims, 2, FP32, x, sizeof x)},
                     {{TEXT("0")}, new_tensor(dims, 2, FP32, x, sizeof x)}};
    try(context, &unknown, 1);
    try(context, &second, 1);
    try(context, &small, 1);
    try(context, &type, 1);
    try(context, twice, 2);
    try(context, 0, 0);
    try(context, &good, 1);
    drop_context(context);
    return 1;
}
