/* wasi_nn.h: inference by the host of a WebAssembly guest.
 *
 * Written from the specification, `wasi-nn.witx` (github.com/WebAssembly/wasi-nn). The functions
 * marked "WasmEdge" are not in it: that host has them, and so has onecopy. Build a guest with
 *
 *     zig cc --target=wasm32-wasi -O2 -I "$(onecopy nn include)" guest.c -o guest.wasm
 *
 * and run it with `onecopy nn run guest.wasm --model NAME=FILE`.
 *
 * A model is a graph. An execution context of a graph holds inputs and outputs: set all inputs,
 * compute, get the outputs; the inputs stay until they are set again. All data is copied.
 */
#ifndef ONECOPY_WASI_NN_H
#define ONECOPY_WASI_NN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What every function returns. */
typedef enum {
    WASI_NN_SUCCESS = 0,
    /* A bad handle, index, address, or tensor; a model that its backend does not take. */
    WASI_NN_INVALID_ARGUMENT = 1,
    /* No backend here takes models that are written so. */
    WASI_NN_INVALID_ENCODING = 2,
    WASI_NN_MISSING_MEMORY = 3,
    /* The host is doing something else; try again. */
    WASI_NN_BUSY = 4,
    /* The backend failed; a context may be used again. */
    WASI_NN_RUNTIME_ERROR = 5,
    WASI_NN_UNSUPPORTED_OPERATION = 6,
    /* An output does not fit the buffer, of which nothing was written; or too much of something. */
    WASI_NN_TOO_LARGE = 7,
    WASI_NN_NOT_FOUND = 8,
    /* WasmEdge: from text models. */
    WASI_NN_END_OF_SEQUENCE = 100,
    WASI_NN_CONTEXT_FULL = 101,
    WASI_NN_PROMPT_TOO_LONG = 102,
    /* WasmEdge: the host has no model of that name. */
    WASI_NN_MODEL_NOT_FOUND = 103
} wasi_nn_errno;

/* How a model is written. */
typedef enum {
    WASI_NN_OPENVINO = 0,
    WASI_NN_ONNX = 1,
    WASI_NN_TENSORFLOW = 2,
    WASI_NN_PYTORCH = 3,
    WASI_NN_TENSORFLOWLITE = 4,
    WASI_NN_AUTODETECT = 5,
    WASI_NN_GGML = 6 /* WasmEdge */
} wasi_nn_encoding;

/* Where a model is to run; a wish. */
typedef enum {
    WASI_NN_CPU = 0,
    WASI_NN_GPU = 1,
    WASI_NN_TPU = 2,
    WASI_NN_AUTO = 3 /* WasmEdge */
} wasi_nn_target;

/* The types of tensors. Before f64 was put in between, u8 was 2 and i32 was 3: hosts that know both
 * tell them apart by the length of the data. */
typedef enum {
    WASI_NN_F16 = 0,
    WASI_NN_F32 = 1,
    WASI_NN_F64 = 2,
    WASI_NN_U8 = 3,
    WASI_NN_I32 = 4,
    WASI_NN_I64 = 5
} wasi_nn_type;

typedef uint32_t wasi_nn_graph;
typedef uint32_t wasi_nn_context;

/* A part of a model: most have one, OpenVINO's have two, the XML and the weights. */
typedef struct {
    const void *data;
    uint32_t nbytes;
} wasi_nn_builder;

/* Elements lie one after another, the last dimension's first; little-endian. */
typedef struct {
    const uint32_t *dimensions;
    uint32_t rank;
    uint8_t type; /* a wasi_nn_type */
    const void *data;
    uint32_t nbytes;
} wasi_nn_tensor;

#define WASI_NN_IMPORT(name) \
    __attribute__((import_module("wasi_ephemeral_nn"), import_name(#name)))

/* Load a model that the guest has in its memory. */
WASI_NN_IMPORT(load)
int32_t wasi_nn_load(const wasi_nn_builder *parts, uint32_t count, uint32_t encoding,
                     uint32_t target, wasi_nn_graph *graph);

/* Load a model that the host knows by a name (no NUL needed). */
WASI_NN_IMPORT(load_by_name)
int32_t wasi_nn_load_by_name(const char *name, uint32_t length, wasi_nn_graph *graph);

/* WasmEdge: the same, with options for the backend as a JSON object. */
WASI_NN_IMPORT(load_by_name_with_config)
int32_t wasi_nn_load_by_name_with_config(const char *name, uint32_t length, const char *config,
                                         uint32_t config_length, wasi_nn_graph *graph);

/* Make a context. It ends with its graph. */
WASI_NN_IMPORT(init_execution_context)
int32_t wasi_nn_init_execution_context(wasi_nn_graph graph, wasi_nn_context *context);

/* Set an input. A text model has the prompt as 0, and options for it (JSON) as 1, both u8. */
WASI_NN_IMPORT(set_input)
int32_t wasi_nn_set_input(wasi_nn_context context, uint32_t index, const wasi_nn_tensor *tensor);

/* Compute all outputs. */
WASI_NN_IMPORT(compute)
int32_t wasi_nn_compute(wasi_nn_context context);

/* Copy an output's bytes, and set how many there are. A text model has the text as 0, and what is
 * known about it (JSON) as 1. */
WASI_NN_IMPORT(get_output)
int32_t wasi_nn_get_output(wasi_nn_context context, uint32_t index, void *buffer, uint32_t room,
                           uint32_t *nbytes);

/* WasmEdge: compute the next token of a text; at its end, WASI_NN_END_OF_SEQUENCE. */
WASI_NN_IMPORT(compute_single)
int32_t wasi_nn_compute_single(wasi_nn_context context);

/* WasmEdge: copy that token's text; it may end within a character. */
WASI_NN_IMPORT(get_output_single)
int32_t wasi_nn_get_output_single(wasi_nn_context context, uint32_t index, void *buffer,
                                  uint32_t room, uint32_t *nbytes);

/* WasmEdge: be done with a text that was computed token by token. */
WASI_NN_IMPORT(fini_single)
int32_t wasi_nn_fini_single(wasi_nn_context context);

/* WasmEdge: end a graph, and its contexts. */
WASI_NN_IMPORT(unload)
int32_t wasi_nn_unload(wasi_nn_graph graph);

#ifdef __cplusplus
}
#endif

#endif
