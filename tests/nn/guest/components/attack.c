/* Attacks by their numbers. */
#include "wit_nn.h"

EXPORT int run(void)
{
    static uint32_t dims[] = {1 << 20};
    uint32_t tensor = new_tensor(dims, 1, U8, (void *)0x100000, 16);
    list out;
    handle_result result;
    switch (ATTACK) {
    case 0: /* more than the host keeps for one component */
        for (;;)
            new_tensor(dims, 1, U8, (void *)0x100000, 1 << 20);
    case 1: /* more handles than it keeps, of nothing */
        for (;;)
            new_tensor(dims, 1, U8, 0, 0);
    case 2: /* a handle that was dropped */
        drop_tensor(tensor);
        tensor_data(tensor, &out);
        break;
    case 3: /* a handle of another kind */
        init_execution_context(tensor, &result);
        break;
    case 4: /* a handle that never was */
        tensor_data(12345, &out);
        break;
    case 5: /* bytes outside of the memory */
        new_tensor(dims, 1, U8, (void *)0xfffffff0, 1 << 20);
        break;
    case 6: /* a type that there is not */
        new_tensor(dims, 1, 77, 0, 0);
        break;
    case 7: /* a list of lists that overlap, each of them long */
        {
            static list parts[4096];
            for (int i = 0; i < 4096; i++)
                parts[i] = (list){(void *)0x100000, 1 << 20};
            load(parts, 4096, ONNX, 0, &result);
            break;
        }
    case 8: /* a name that is no text */
        load_by_name("\xff\xfe", 2, &result);
        break;
    case 11: /* names that are far too long, in errors of the host */
        {
            static named inputs[1];
            list_result answer;
            uint32_t context = context_of(TEXT("affine"));
            for (int i = 0; i < 3; i++) {
                inputs[0] = (named){{(void *)0x300000, 1 << 20}, new_tensor(dims, 1, U8, 0, 0)};
                compute(context, inputs, 1, &answer);
                if (!FAILED(answer))
                    return 1;
                error_data(answer.error, &out);
                print_number(out.size);
            }
            break;
        }
    case 10: /* no end */
        for (volatile int x = 0;; x++)
            ;
    case 9: /* more bytes than wasmtime lets through */
        new_tensor(dims, 1, U8, (void *)0, 4000000);
        break;
    }
    return 0;
}
