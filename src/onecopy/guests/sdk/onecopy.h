/* onecopy.h: what a WebAssembly guest of onecopy needs, in one header; ABI version 1.
 *
 * A guest is a core Wasm module with 32-bit memory. The host maps tensors over parts of that memory
 * (windows) and describes them on the control page, which also carries the call and its result.
 * docs/guest-abi.md specifies every field and function; include this file once per module.
 *
 *     #include "onecopy.h"
 *
 *     static uint32_t mask[OC_MASK_WORDS(131072)];
 *     static int grammar;
 *
 *     OC_EXPORT int init_prompt(void) {
 *         static char schema[4096];
 *         grammar = oc_grammar_new(OC_JSON_SCHEMA, schema, oc_config(schema, sizeof schema));
 *         return grammar < 0;
 *     }
 *
 *     OC_EXPORT int mid_process(void) {
 *         if (!oc_grammar_consume_step(grammar) || oc_grammar_mask(grammar, mask) != OC_OK)
 *             return oc_stop();
 *         return oc_allow(mask);
 *     }
 */
#ifndef ONECOPY_H
#define ONECOPY_H

#include <stddef.h>
#include <stdint.h>

#define OC_ABI 1
#define OC_EXPORT __attribute__((visibility("default"), used))
#define OC_IMPORT(name) __attribute__((import_module("onecopy"), import_name(name)))

/* ---- results and errors: what host functions return; all errors are negative ---- */

enum {
    OC_OK = 0,
    OC_ERR_HANDLE = -1,  /* no such grammar, stream or window */
    OC_ERR_RANGE = -2,   /* an address or a size outside the guest's memory, or not aligned */
    OC_ERR_INVALID = -3, /* a grammar that does not compile, a token outside the vocabulary, ... */
    OC_ERR_LIMIT = -4,   /* too many or too large */
    OC_ERR_MISSING = -5, /* no such variable */
    OC_ERR_DENIED = -6,  /* read-only, or not in this phase */
};

/* ---- the control page ---- */

enum { OC_F32, OC_F64, OC_F16, OC_BF16, OC_U8, OC_I8, OC_U16, OC_I16, OC_U32, OC_I32, OC_U64, OC_I64, OC_BOOL, OC_F8_E4M3, OC_F8_E5M2, OC_BYTES };
enum { OC_WRITABLE = 1, OC_COPIED = 2 };

#define OC_MAX_RANK 6
#define OC_MAX_WINDOWS 24
#define OC_INLINE_TOKENS 192

/* One window. Its bytes are at `address`; strides count elements. 128 bytes. */
struct oc_window {
    char name[40]; /* UTF-8, ends with a NUL */
    uint32_t address;
    uint32_t flags;
    uint32_t nbytes;
    uint32_t dtype;
    uint32_t rank;
    uint32_t generation; /* changes when the window does */
    uint32_t shape[OC_MAX_RANK];
    uint32_t strides[OC_MAX_RANK];
    uint32_t reserved[4];
};

enum { OC_NONE, OC_MASK, OC_SPLICE, OC_FORK, OC_STOP, OC_CHOOSE };

/* What a controller wants; the host copies it once when the call has returned. 64 bytes. */
struct oc_result {
    uint32_t kind;
    uint32_t mask;       /* OC_MASK: address of OC_MASK_WORDS(vocab) words, 1 = allowed; 0 = all */
    uint32_t biases;     /* OC_MASK: address of `bias_count` struct oc_bias */
    uint32_t bias_count;
    uint32_t backtrack;  /* OC_SPLICE: tokens to take back, then `token_count` at `tokens` to add */
    uint32_t tokens;
    uint32_t token_count;
    uint32_t branches;   /* OC_FORK: into how many, this one included */
    uint32_t token;      /* OC_CHOOSE */
    uint32_t reserved[7];
};

struct oc_bias {
    uint32_t token;
    float bias; /* finite; added to the token's logit */
};

/* The page itself: written by the host before each call, but for `result`. 4096 bytes. */
struct oc_control {
    uint32_t magic; /* 0x3147434f, "OCG1" */
    uint32_t abi;
    uint32_t generation; /* changes when any window does */
    uint32_t window_count;
    uint32_t vocab; /* tokens in the vocabulary, 0 without one */
    uint32_t eos;   /* the token that ends a sequence */
    uint32_t step;  /* calls of mid_process that have returned */
    uint32_t branch; /* after OC_FORK: which branch this is, from 0 */
    uint32_t token_count; /* tokens appended since the last call, or of the prompt */
    uint32_t reserved[7];
    struct oc_result result;
    uint32_t tokens[OC_INLINE_TOKENS]; /* the first of them; oc_read_tokens has all */
    uint32_t unused[32];
    struct oc_window windows[OC_MAX_WINDOWS];
};

_Static_assert(sizeof(struct oc_window) == 128, "the layout is part of the ABI");
_Static_assert(sizeof(struct oc_result) == 64, "the layout is part of the ABI");
_Static_assert(sizeof(struct oc_control) == 4096, "the layout is part of the ABI");

/* ---- host functions ---- */

/* Return the control page; its address stays the same as long as the guest lives. */
OC_IMPORT("control") struct oc_control *oc_control(void);

/* Write a line to the host's log of this guest; long ones are cut. Levels: 0 debug .. 3 error. */
OC_IMPORT("log") void oc_log(int level, const char *text, size_t length);

/* Copy up to `room` bytes of the configuration given to open(); return its whole length. */
OC_IMPORT("config") int oc_config(void *to, size_t room);

/* Copy appended tokens from `first` on; return how many there are from there. */
OC_IMPORT("read_tokens") int oc_read_tokens(uint32_t first, uint32_t *to, size_t room);

/* Turn UTF-8 text into tokens, as the vocabulary's tokenizer does; return how many there are,
 * of which at most `room` were written. */
OC_IMPORT("tokenize") int oc_tokenize(const char *text, size_t length, uint32_t *to, size_t room);

/* Variables that all sequences of one request share. get returns the whole length. */
OC_IMPORT("var_get") int oc_var_get(const char *key, size_t key_length, void *to, size_t room);
OC_IMPORT("var_set") int oc_var_set(const char *key, size_t key_length, const void *value, size_t length);

/* Grammars, by a native engine. Make them in init_prompt; handles are small and not negative. */
enum { OC_JSON_SCHEMA, OC_REGEX, OC_LARK };
OC_IMPORT("grammar_new") int oc_grammar_new(int kind, const char *text, size_t length);
OC_IMPORT("grammar_free") int oc_grammar_free(int grammar);
/* Write which tokens may come next, OC_MASK_WORDS(vocab) words. */
OC_IMPORT("grammar_mask") int oc_grammar_mask(int grammar, uint32_t *mask);
/* Advance by tokens; return how many fit (fewer than `count`: the grammar stands after those). */
OC_IMPORT("grammar_consume") int oc_grammar_consume(int grammar, const uint32_t *tokens, size_t count);
OC_IMPORT("grammar_rollback") int oc_grammar_rollback(int grammar, uint32_t count);
/* 1 if the text may end here, 0 if not. */
OC_IMPORT("grammar_accepts") int oc_grammar_accepts(int grammar);
/* Write tokens that must come next; return how many there are. */
OC_IMPORT("grammar_forced") int oc_grammar_forced(int grammar, uint32_t *to, size_t room);

/* Streams: ranges of an entry, copied. `stream` is the position in the list given to open(). */
OC_IMPORT("read") int oc_read(int stream, uint64_t offset, void *to, size_t length);
OC_IMPORT("write") int oc_write(int stream, uint64_t offset, const void *from, size_t length);
OC_IMPORT("stream_size") int64_t oc_stream_size(int stream);

/* Many at once. 32 bytes; `done` is set to the bytes moved, or to an error. */
struct oc_transfer {
    uint32_t stream;
    uint32_t write; /* 0 = from the stream into memory */
    uint64_t offset;
    uint32_t address;
    uint32_t length;
    int32_t done;
    uint32_t reserved;
};
_Static_assert(sizeof(struct oc_transfer) == 32, "the layout is part of the ABI");
/* Register a range of memory for transfers (every address must lie in one); return its number. */
OC_IMPORT("register_range") int oc_register_range(void *start, size_t length);
/* Hand over transfers; return how many were taken. They are done when oc_complete says so. */
OC_IMPORT("submit") int oc_submit(struct oc_transfer *transfers, size_t count);
/* Wait until at least `least` submitted transfers are done; return how many are, since last time. */
OC_IMPORT("complete") int oc_complete(size_t least);

/* End the call as failed, with a reason. */
OC_IMPORT("fail") __attribute__((noreturn)) void oc_fail(const char *text, size_t length);

/* ---- conveniences, in terms of the above ---- */

#define OC_MASK_WORDS(vocab) (((vocab) + 31) / 32)

/* The version this guest speaks, given the newest that the host does; 0 = they cannot talk. */
OC_EXPORT uint32_t onecopy_abi(uint32_t newest) { return newest >= OC_ABI ? OC_ABI : 0; }

static inline size_t oc_length(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

static inline void oc_say(const char *text) { oc_log(1, text, oc_length(text)); }

/* Find a window by its name, or return NULL. */
static inline struct oc_window *oc_window(const char *name) {
    struct oc_control *control = oc_control();
    for (uint32_t i = 0; i < control->window_count; i++) {
        const char *have = control->windows[i].name;
        size_t k = 0;
        while (have[k] && have[k] == name[k]) k++;
        if (have[k] == name[k]) return &control->windows[i];
    }
    return NULL;
}

static inline void *oc_data(const struct oc_window *window) {
    return (void *)(uintptr_t)window->address;
}

/* The vocabulary is a window named "vocab": a header, then the end of each token's bytes, then the
 * bytes themselves. */
struct oc_vocab {
    uint32_t magic; /* 0x3156434f, "OCV1" */
    uint32_t count;
    uint32_t eos;
    uint32_t bytes; /* where the bytes start, from the start of the window */
    uint32_t ends[]; /* ends[i] is where token i ends within the bytes; it starts at ends[i - 1] */
};

/* Return the bytes of a token and set their number; special tokens have none. */
static inline const char *oc_token(uint32_t token, uint32_t *length) {
    static const struct oc_vocab *vocab;
    if (!vocab) vocab = oc_data(oc_window("vocab"));
    uint32_t start = token ? vocab->ends[token - 1] : 0;
    *length = vocab->ends[token] - start;
    return (const char *)vocab + vocab->bytes + start;
}

static inline void oc_mask_clear(uint32_t *mask) {
    for (uint32_t i = 0, n = OC_MASK_WORDS(oc_control()->vocab); i < n; i++) mask[i] = 0;
}
static inline void oc_mask_allow(uint32_t *mask, uint32_t token) { mask[token / 32] |= 1u << (token % 32); }
static inline void oc_mask_forbid(uint32_t *mask, uint32_t token) { mask[token / 32] &= ~(1u << (token % 32)); }
static inline int oc_mask_has(const uint32_t *mask, uint32_t token) { return mask[token / 32] >> (token % 32) & 1; }

/* Advance a grammar by all tokens of this step; return whether they fitted. Text that is spliced in
 * or sampled arrives in inline chunks; a step of more than OC_INLINE_TOKENS reads the rest. */
static inline int oc_grammar_consume_step(int grammar) {
    struct oc_control *control = oc_control();
    uint32_t buffer[OC_INLINE_TOKENS], done = 0;
    while (done < control->token_count) {
        const uint32_t *chunk = control->tokens;
        uint32_t n = control->token_count - done;
        if (n > OC_INLINE_TOKENS) n = OC_INLINE_TOKENS;
        if (done) oc_read_tokens(done, buffer, n), chunk = buffer;
        if (oc_grammar_consume(grammar, chunk, n) != (int)n) return 0;
        done += n;
    }
    return 1;
}

/* The results of mid_process; `return oc_allow(mask);` */
static inline int oc_allow(const uint32_t *mask) {
    struct oc_result *result = &oc_control()->result;
    result->kind = OC_MASK;
    result->mask = (uint32_t)(uintptr_t)mask;
    result->bias_count = 0;
    return OC_OK;
}
static inline int oc_allow_biased(const uint32_t *mask, const struct oc_bias *biases, uint32_t count) {
    struct oc_result *result = &oc_control()->result;
    oc_allow(mask);
    result->biases = (uint32_t)(uintptr_t)biases;
    result->bias_count = count;
    return OC_OK;
}
static inline int oc_splice(uint32_t backtrack, const uint32_t *tokens, uint32_t count) {
    struct oc_result *result = &oc_control()->result;
    result->kind = OC_SPLICE;
    result->backtrack = backtrack;
    result->tokens = (uint32_t)(uintptr_t)tokens;
    result->token_count = count;
    return OC_OK;
}
/* Go on as several branches: each is called again, with no tokens and its number in `branch`. */
static inline int oc_fork(uint32_t branches) {
    struct oc_result *result = &oc_control()->result;
    result->kind = OC_FORK;
    result->branches = branches;
    return OC_OK;
}
static inline int oc_choose(uint32_t token) {
    struct oc_result *result = &oc_control()->result;
    result->kind = OC_CHOOSE;
    result->token = token;
    return OC_OK;
}
static inline int oc_stop(void) {
    oc_control()->result.kind = OC_STOP;
    return OC_OK;
}

#endif
