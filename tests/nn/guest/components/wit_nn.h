/* The functions of world.wat as the canonical ABI lowers them, for guests of the tests. */

#include <stdint.h>

#define HOST(name) __attribute__((import_module("host"), import_name(name)))
#define EXPORT __attribute__((visibility("default")))

typedef struct {
    const void *data;
    uint32_t size;
} list;
typedef struct {
    uint32_t failed; /* its first byte */
    uint32_t handle; /* of the result, or of an error */
} handle_result;
typedef struct {
    uint32_t failed;
    union {
        list values;
        uint32_t error;
    };
} list_result;
typedef struct {
    list name;
    uint32_t tensor;
} named;

enum { FP16, FP32, FP64, BF16, U8, I32, I64 };
enum { OPENVINO, ONNX, TENSORFLOW, PYTORCH, TENSORFLOWLITE, GGML, AUTODETECT };

HOST("alloc") void *alloc(void *old, uint32_t old_size, uint32_t align, uint32_t size);
HOST("get-stdout") uint32_t get_stdout(void);
HOST("write") void write_all(uint32_t stream, const void *data, uint32_t size, void *result);
HOST("new-tensor")
uint32_t new_tensor(const uint32_t *dims, uint32_t rank, uint32_t ty, const void *data, uint32_t size);
HOST("tensor-dimensions") void tensor_dimensions(uint32_t tensor, list *out);
HOST("tensor-ty") uint32_t tensor_ty(uint32_t tensor);
HOST("tensor-data") void tensor_data(uint32_t tensor, list *out);
HOST("error-code") uint32_t error_code(uint32_t error);
HOST("error-data") void error_data(uint32_t error, list *out);
HOST("compute") void compute(uint32_t context, const named *inputs, uint32_t count, list_result *out);
HOST("init-execution-context") void init_execution_context(uint32_t graph, handle_result *out);
HOST("load")
void load(const list *parts, uint32_t count, uint32_t encoding, uint32_t target, handle_result *out);
HOST("load-by-name") void load_by_name(const char *name, uint32_t size, handle_result *out);
HOST("drop-tensor") void drop_tensor(uint32_t tensor);
HOST("drop-error") void drop_error(uint32_t error);
HOST("drop-context") void drop_context(uint32_t context);
HOST("drop-graph") void drop_graph(uint32_t graph);

#define TEXT(literal) (literal), sizeof(literal) - 1
#define FAILED(result) ((result).failed & 0xff)

static inline void print(const void *data, uint32_t size)
{
    uint32_t result[4];
    static uint32_t out;
    if (!out)
        out = get_stdout();
    write_all(out, data, size, result);
}

static inline void print_number(uint32_t number)
{
    char digits[12], *at = digits + 11;
    *at = '\n';
    do
        *--at = '0' + number % 10;
    while (number /= 10);
    print(at, digits + 12 - at);
}

static inline void print_error(uint32_t error)
{
    list text;
    print_number(error_code(error));
    error_data(error, &text);
    print(text.data, text.size);
    drop_error(error);
}

/* Load a model by name and open a context in it; 0 if that fails, which is printed. */
static inline uint32_t context_of(const char *name, uint32_t size)
{
    handle_result graph, context;
    load_by_name(name, size, &graph);
    if (FAILED(graph)) {
        print_error(graph.handle);
        return 0;
    }
    init_execution_context(graph.handle, &context);
    /* The context holds the model. */
    drop_graph(graph.handle);
    return context.handle;
}
