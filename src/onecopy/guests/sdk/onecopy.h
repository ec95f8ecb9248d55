/* onecopy.h: what a WebAssembly guest of onecopy needs, in one header; ABI version 1.
 *
 * A guest is a core Wasm module with 32-bit memory. The host maps tensors over parts of that memory
 * (windows) and describes them on the control page, which also carries the call and its result.
 * docs/guest-abi.md specifies every field and function. C11 and C++17; there is no C library, but for
 * memcpy, memmove, memset and memcmp, which are below.
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
 *         if (oc_grammar_step(grammar, mask) != OC_OK) return oc_stop();
 *         return oc_allow(mask);
 *     }
 */
#ifndef ONECOPY_H
#define ONECOPY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define OC_STATIC_ASSERT static_assert
#define OC_EXPORT extern "C" __attribute__((visibility("default"), used))
extern "C" {
#else
#define OC_STATIC_ASSERT _Static_assert
#define OC_EXPORT __attribute__((visibility("default"), used))
#endif

/* The version of the ABI that this header describes. */
#define OC_ABI 1

/* Before a function: the host may call it. It takes and returns numbers (addresses are int). */
#define OC_IMPORT(name) __attribute__((import_module("onecopy"), import_name(name)))

/* ---- what host functions return; errors are negative ---- */

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

/* Element types of windows. OC_BYTES is what has no type: text, a file. */
enum {
    OC_F32, OC_F64, OC_F16, OC_BF16, OC_U8, OC_I8, OC_U16, OC_I16, OC_U32, OC_I32, OC_U64, OC_I64,
    OC_BOOL, OC_F8_E4M3, OC_F8_E5M2, OC_BYTES
};

/* Flags of windows. Writable: others see what you write, at once. Read-only: you may write, but
 * nobody sees it, it counts against your memory limit, and it is gone before the next call. Copied:
 * the host could not map the tensor, and copied it. */
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

/* Kinds of results. */
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

/* A number to add to a token's logit. 8 bytes. */
struct oc_bias {
    uint32_t token;
    float bias; /* from -10000 to 10000; added to the token's logit */
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

OC_STATIC_ASSERT(sizeof(struct oc_window) == 128, "the layout is part of the ABI");
OC_STATIC_ASSERT(sizeof(struct oc_result) == 64, "the layout is part of the ABI");
OC_STATIC_ASSERT(sizeof(struct oc_control) == 4096, "the layout is part of the ABI");

/* ---- host functions ---- */

/* Return the control page. oc_control() below asks once and remembers. */
OC_IMPORT("control") struct oc_control *oc_control_page(void);

/* Write a line to the host's log of this guest; long ones are cut. Levels: 0 debug .. 3 error. */
OC_IMPORT("log") void oc_log(int level, const char *text, size_t length);

/* End the call, and this guest, as failed, with a reason. */
OC_IMPORT("fail") __attribute__((noreturn)) void oc_fail(const char *text, size_t length);

/* Copy up to `room` bytes of the configuration given to open(); return its whole length. */
OC_IMPORT("config") int oc_config(void *to, size_t room);

/* Copy the appended tokens from number `first` on; return how many there are from there. */
OC_IMPORT("read_tokens") int oc_read_tokens(uint32_t first, uint32_t *to, size_t room);

/* Turn UTF-8 text into tokens, as the vocabulary's tokenizer does; return how many there are,
 * of which at most `room` were written. */
OC_IMPORT("tokenize") int oc_tokenize(const char *text, size_t length, uint32_t *to, size_t room);

/* Copy up to `room` bytes of a variable that all sequences of one request share; return its whole
 * length, or OC_ERR_MISSING. */
OC_IMPORT("var_get") int oc_var_get(const char *key, size_t key_length, void *to, size_t room);

/* Set such a variable. */
OC_IMPORT("var_set")
int oc_var_set(const char *key, size_t key_length, const void *value, size_t length);

/* What the text of a grammar is written in. */
enum { OC_JSON_SCHEMA, OC_REGEX, OC_LARK };

/* Compile a grammar, by the host's native engine; return its handle, or an error. Do it in
 * init_prompt, which has time for it. */
OC_IMPORT("grammar_new") int oc_grammar_new(int kind, const char *text, size_t length);

/* Give a grammar back. */
OC_IMPORT("grammar_free") int oc_grammar_free(int grammar);

/* Write which tokens may come next, OC_MASK_WORDS(vocab) words. */
OC_IMPORT("grammar_mask") int oc_grammar_mask(int grammar, uint32_t *mask);

/* Advance by all tokens of this step, then write which may come next: the two in one call. Return
 * OC_ERR_INVALID if not all fitted. */
OC_IMPORT("grammar_step") int oc_grammar_step(int grammar, uint32_t *mask);

/* Advance by tokens; return how many fit (fewer than `count`: the grammar stands after those). */
OC_IMPORT("grammar_consume")
int oc_grammar_consume(int grammar, const uint32_t *tokens, size_t count);

/* Take the last `count` tokens back. */
OC_IMPORT("grammar_rollback") int oc_grammar_rollback(int grammar, uint32_t count);

/* Return 1 if the text may end here, 0 if not. */
OC_IMPORT("grammar_accepts") int oc_grammar_accepts(int grammar);

/* Write tokens that must come next; return how many there are. */
OC_IMPORT("grammar_forced") int oc_grammar_forced(int grammar, uint32_t *to, size_t room);

/* Copy a range of a stream into memory. `stream` is its position in the list given to open(). */
OC_IMPORT("read") int oc_read(int stream, uint64_t offset, void *to, size_t length);

/* Copy memory into a range of a stream. */
OC_IMPORT("write") int oc_write(int stream, uint64_t offset, const void *from, size_t length);

/* Return the bytes of a stream. */
OC_IMPORT("stream_size") int64_t oc_stream_size(int stream);

/* One of many copies. 32 bytes; `done` is set to the bytes moved, or to an error. */
struct oc_transfer {
    uint32_t stream;
    uint32_t write; /* 0 = from the stream into memory */
    uint64_t offset;
    uint32_t address;
    uint32_t length;
    int32_t done;
    uint32_t reserved;
};
OC_STATIC_ASSERT(sizeof(struct oc_transfer) == 32, "the layout is part of the ABI");

/* Register a range of memory for transfers (every address must lie in one); return its number. */
OC_IMPORT("register_range") int oc_register_range(void *start, size_t length);

/* Hand over transfers; return how many were taken. They are done when oc_complete says so. */
OC_IMPORT("submit") int oc_submit(struct oc_transfer *transfers, size_t count);

/* Wait until at least `least` submitted transfers are done; return how many are, since last time. */
OC_IMPORT("complete") int oc_complete(size_t least);

/* ---- what every module has ---- */

/* The version this guest speaks, given the newest that the host does; 0 = they cannot talk. */
__attribute__((weak, visibility("default"), used)) uint32_t onecopy_abi(uint32_t newest) {
    return newest >= OC_ABI ? OC_ABI : 0;
}

/* Compilers call these four for assignments and loops. Where there is a C library, it wins. */
#define OC_LIBRARY(name) __attribute__((weak, no_builtin(name)))

OC_LIBRARY("memcpy") void *memcpy(void *to, const void *from, size_t length) {
    char *t = (char *)to;
    const char *f = (const char *)from;
    for (size_t i = 0; i < length; i++) t[i] = f[i];
    return to;
}

OC_LIBRARY("memmove") void *memmove(void *to, const void *from, size_t length) {
    char *t = (char *)to;
    const char *f = (const char *)from;
    if (t <= f) {
        for (size_t i = 0; i < length; i++) t[i] = f[i];
    } else {
        for (size_t i = length; i--;) t[i] = f[i];
    }
    return to;
}

OC_LIBRARY("memset") void *memset(void *to, int byte, size_t length) {
    char *t = (char *)to;
    for (size_t i = 0; i < length; i++) t[i] = (char)byte;
    return to;
}

OC_LIBRARY("memcmp") int memcmp(const void *left, const void *right, size_t length) {
    const unsigned char *l = (const unsigned char *)left, *r = (const unsigned char *)right;
    for (size_t i = 0; i < length; i++)
        if (l[i] != r[i]) return l[i] - r[i];
    return 0;
}

#ifdef __cplusplus
/* Constructors of global objects run once, before the first call. */
void __wasm_call_ctors(void);
__attribute__((weak, visibility("default"), used)) void _initialize(void) { __wasm_call_ctors(); }
#endif

/* ---- the control page, texts, logging ---- */

/* Return the control page; its address stays the same as long as the guest lives. */
static inline struct oc_control *oc_control(void) {
    static struct oc_control *page;
    if (!page) page = oc_control_page();
    return page;
}

/* Return the number of bytes before the NUL. */
static inline size_t oc_length(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

/* Log a text, at level 1. */
static inline void oc_say(const char *text) { oc_log(1, text, oc_length(text)); }

/* Log a text and a number: oc_say_number("tokens so far: ", count). */
static inline void oc_say_number(const char *text, int64_t number) {
    char line[128], digits[20];
    size_t length = 0, count = 0;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    while (text[length] && length < 100) line[length] = text[length], length++;
    if (number < 0) line[length++] = '-';
    do digits[count++] = (char)('0' + rest % 10);
    while (rest /= 10);
    while (count) line[length++] = digits[--count];
    oc_log(1, line, length);
}

/* End the call, and this guest, as failed, with a text. */
static inline __attribute__((noreturn)) void oc_give_up(const char *text) {
    oc_fail(text, oc_length(text));
}

/* Copy the configuration as a text that ends with a NUL; return its length. One that does not fit
 * into `room` bytes is a failure. */
static inline size_t oc_config_text(char *to, size_t room) {
    int length = oc_config(to, room);
    if (length < 0 || (size_t)length >= room) oc_give_up("the configuration does not fit");
    to[length] = 0;
    return (size_t)length;
}

/* ---- windows ---- */

/* Find a window by its name, or return NULL. What is returned stays valid, and describes the window
 * as it is, until the host closes one. */
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

/* Find a window that must be there. */
static inline struct oc_window *oc_need_window(const char *name) {
    struct oc_window *window = oc_window(name);
    if (!window) {
        char line[128] = "the host shows no window of this name: ";
        size_t length = oc_length(line);
        while (*name && length < 100) line[length++] = *name++;
        oc_fail(line, length);
    }
    return window;
}

/* Return where a window's bytes are. */
static inline void *oc_data(const struct oc_window *window) {
    return (void *)(uintptr_t)window->address;
}

/* ---- the vocabulary ---- */

/* The vocabulary is a window named "vocab": this header, then for each token where its bytes end
 * (they start where those of the token before end), then the bytes. */
struct oc_vocab {
    uint32_t magic; /* 0x3156434f, "OCV1" */
    uint32_t count;
    uint32_t eos;
    uint32_t bytes; /* where the bytes start, from the start of the window */
};

/* Return how many tokens there are. */
static inline uint32_t oc_vocab_size(void) { return oc_control()->vocab; }

/* Return the token that ends a sequence. */
static inline uint32_t oc_eos(void) { return oc_control()->eos; }

/* Return the bytes of a token and set their number; special tokens have none, and so has what is no
 * token. There is no NUL after them. */
static inline const char *oc_token(uint32_t token, uint32_t *length) {
    static const struct oc_vocab *vocab;
    static uint32_t generation;
    if (generation != oc_control()->generation) {
        vocab = (const struct oc_vocab *)oc_data(oc_need_window("vocab"));
        generation = oc_control()->generation;
    }
    const uint32_t *ends = (const uint32_t *)(vocab + 1);
    *length = 0;
    if (token >= vocab->count) return NULL;
    uint32_t start = token ? ends[token - 1] : 0;
    *length = ends[token] - start;
    return (const char *)vocab + vocab->bytes + start;
}

/* Return whether a token's bytes are exactly this text. */
static inline int oc_token_is(uint32_t token, const char *text) {
    uint32_t length;
    const char *bytes = oc_token(token, &length);
    return length && length == oc_length(text) && memcmp(bytes, text, length) == 0;
}

/* Return whether a token's bytes begin with a text. */
static inline int oc_token_begins(uint32_t token, const char *text) {
    uint32_t length;
    const char *bytes = oc_token(token, &length);
    size_t wanted = oc_length(text);
    return length && length >= wanted && memcmp(bytes, text, wanted) == 0;
}

/* Return whether a text occurs within a token's bytes. */
static inline int oc_token_contains(uint32_t token, const char *text) {
    uint32_t length;
    const char *bytes = oc_token(token, &length);
    size_t wanted = oc_length(text);
    for (size_t i = 0; i + wanted <= length; i++)
        if (memcmp(bytes + i, text, wanted) == 0) return 1;
    return 0;
}

/* ---- masks: one bit for each token, 1 = allowed; also good as sets of tokens ---- */

/* The words of a mask: static uint32_t mask[OC_MASK_WORDS(131072)]; */
#define OC_MASK_WORDS(vocab) (((vocab) + 31) / 32)

/* Return the words of a mask of this vocabulary. */
static inline uint32_t oc_mask_words(void) { return OC_MASK_WORDS(oc_vocab_size()); }

/* Make it empty. */
static inline void oc_mask_clear(uint32_t *mask) {
    for (uint32_t i = 0, n = oc_mask_words(); i < n; i++) mask[i] = 0;
}

/* Put every token of the vocabulary into it. */
static inline void oc_mask_fill(uint32_t *mask) {
    uint32_t n = oc_mask_words(), rest = oc_vocab_size() % 32;
    for (uint32_t i = 0; i < n; i++) mask[i] = ~0u;
    if (rest) mask[n - 1] = (1u << rest) - 1;
}

/* Put one token in, take one out, ask for one. The token must be one of the vocabulary. */
static inline void oc_mask_allow(uint32_t *mask, uint32_t token) {
    mask[token / 32] |= 1u << (token % 32);
}
static inline void oc_mask_forbid(uint32_t *mask, uint32_t token) {
    mask[token / 32] &= ~(1u << (token % 32));
}
static inline int oc_mask_has(const uint32_t *mask, uint32_t token) {
    return mask[token / 32] >> (token % 32) & 1;
}

/* Make it a copy of another one. */
static inline void oc_mask_copy(uint32_t *mask, const uint32_t *other) {
    for (uint32_t i = 0, n = oc_mask_words(); i < n; i++) mask[i] = other[i];
}

/* Keep what is also in another one. */
static inline void oc_mask_and(uint32_t *mask, const uint32_t *other) {
    for (uint32_t i = 0, n = oc_mask_words(); i < n; i++) mask[i] &= other[i];
}

/* Add what is in another one. */
static inline void oc_mask_or(uint32_t *mask, const uint32_t *other) {
    for (uint32_t i = 0, n = oc_mask_words(); i < n; i++) mask[i] |= other[i];
}

/* Swap what is in it for what is not. */
static inline void oc_mask_not(uint32_t *mask) {
    uint32_t n = oc_mask_words(), rest = oc_vocab_size() % 32;
    for (uint32_t i = 0; i < n; i++) mask[i] = ~mask[i];
    if (rest) mask[n - 1] &= (1u << rest) - 1;
}

/* Take out what is in another one: a veto. */
static inline void oc_mask_veto(uint32_t *mask, const uint32_t *forbidden) {
    for (uint32_t i = 0, n = oc_mask_words(); i < n; i++) mask[i] &= ~forbidden[i];
}

/* Take a list of tokens out. */
static inline void oc_mask_veto_list(uint32_t *mask, const uint32_t *tokens, size_t count) {
    for (size_t i = 0; i < count; i++) oc_mask_forbid(mask, tokens[i]);
}

/* Put in each token for which `wanted` says so; `context` is for it. For init_prompt: it looks at
 * the whole vocabulary. */
static inline void oc_mask_where(
    uint32_t *mask, int (*wanted)(uint32_t token, void *context), void *context) {
    for (uint32_t i = 0, n = oc_vocab_size(); i < n; i++)
        if (wanted(i, context)) oc_mask_allow(mask, i);
}

/* Put in each token in whose bytes a text occurs. For init_prompt, too. */
static inline void oc_mask_where_contains(uint32_t *mask, const char *text) {
    for (uint32_t i = 0, n = oc_vocab_size(); i < n; i++)
        if (oc_token_contains(i, text)) oc_mask_allow(mask, i);
}

/* Return how many tokens are in it. */
static inline uint32_t oc_mask_count(const uint32_t *mask) {
    uint32_t count = 0;
    for (uint32_t i = 0, n = oc_mask_words(); i < n; i++)
        count += (uint32_t)__builtin_popcount(mask[i]);
    return count;
}

/* ---- the tokens of this step ---- */

/* Return how many tokens were appended since the last call (in init_prompt: those of the prompt). */
static inline uint32_t oc_step_count(void) { return oc_control()->token_count; }

/* Return one of them, from 0. */
static inline uint32_t oc_step_token(uint32_t i) {
    uint32_t token = 0;
    if (i < OC_INLINE_TOKENS) return oc_control()->tokens[i];
    oc_read_tokens(i, &token, 1);
    return token;
}

/* Advance a grammar by all tokens of this step; return whether they fitted. A step of more than
 * OC_INLINE_TOKENS reads the rest in pieces. */
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

/* ---- the results of mid_process: return oc_allow(mask); ----
 *
 * Masks, biases and tokens are read when the call has returned: they must be static, or otherwise
 * outlive the function. Arrays of its own are gone by then. */

/* Allow the tokens of a mask, which must have one; a NULL allows all. */
static inline int oc_allow(const uint32_t *mask) {
    struct oc_result *result = &oc_control()->result;
    result->kind = OC_MASK;
    result->mask = (uint32_t)(uintptr_t)mask;
    result->bias_count = 0;
    return OC_OK;
}

/* The same, and add numbers to the logits of some tokens. */
static inline int oc_allow_biased(
    const uint32_t *mask, const struct oc_bias *biases, uint32_t count) {
    struct oc_result *result = &oc_control()->result;
    oc_allow(mask);
    result->biases = (uint32_t)(uintptr_t)biases;
    result->bias_count = count;
    return OC_OK;
}

/* Take back the last tokens of the sequence, then append others: text that need not be sampled. */
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

/* Choose the next token, for controllers that see the logits: the window "logits", where the host
 * shows it, is this sequence's row, as 32-bit floats. */
static inline int oc_choose(uint32_t token) {
    struct oc_result *result = &oc_control()->result;
    result->kind = OC_CHOOSE;
    result->token = token;
    return OC_OK;
}

/* End the sequence. */
static inline int oc_stop(void) {
    oc_control()->result.kind = OC_STOP;
    return OC_OK;
}

#ifdef __cplusplus
}
#endif
#endif
