/* Calls each import with the numbers that the test gives. */
#include "onecopy.h"

static char buffer[65536];

OC_EXPORT int at(void) { return (int)(uintptr_t)buffer; }
OC_EXPORT int mid_process(void) { return oc_stop(); }

OC_EXPORT int call_control(void) { return (int)(uintptr_t)oc_control_page(); }
OC_EXPORT void call_log(int level, const char *text, size_t length) { oc_log(level, text, length); }
OC_EXPORT void call_fail(const char *text, size_t length) { oc_fail(text, length); }
OC_EXPORT int call_config(void *to, size_t room) { return oc_config(to, room); }
OC_EXPORT int call_read_tokens(uint32_t first, uint32_t *to, size_t room) {
    return oc_read_tokens(first, to, room);
}
OC_EXPORT int call_tokenize(const char *text, size_t length, uint32_t *to, size_t room) {
    return oc_tokenize(text, length, to, room);
}
OC_EXPORT int call_var_get(const char *key, size_t key_length, void *to, size_t room) {
    return oc_var_get(key, key_length, to, room);
}
OC_EXPORT int call_var_set(const char *key, size_t key_length, const void *value, size_t length) {
    return oc_var_set(key, key_length, value, length);
}
OC_EXPORT int call_grammar_new(int kind, const char *text, size_t length) {
    return oc_grammar_new(kind, text, length);
}
OC_EXPORT int call_grammar_free(int grammar) { return oc_grammar_free(grammar); }
OC_EXPORT int call_grammar_mask(int grammar, uint32_t *mask) { return oc_grammar_mask(grammar, mask); }
OC_EXPORT int call_grammar_step(int grammar, uint32_t *mask) { return oc_grammar_step(grammar, mask); }
OC_EXPORT int call_grammar_consume(int grammar, const uint32_t *tokens, size_t count) {
    return oc_grammar_consume(grammar, tokens, count);
}
OC_EXPORT int call_grammar_rollback(int grammar, uint32_t count) {
    return oc_grammar_rollback(grammar, count);
}
OC_EXPORT int call_grammar_accepts(int grammar) { return oc_grammar_accepts(grammar); }
OC_EXPORT int call_grammar_forced(int grammar, uint32_t *to, size_t room) {
    return oc_grammar_forced(grammar, to, room);
}
OC_EXPORT int call_read(int stream, uint64_t offset, void *to, size_t length) {
    return oc_read(stream, offset, to, length);
}
OC_EXPORT int call_write(int stream, uint64_t offset, const void *from, size_t length) {
    return oc_write(stream, offset, from, length);
}
OC_EXPORT int64_t call_stream_size(int stream) { return oc_stream_size(stream); }
OC_EXPORT int call_register_range(void *start, size_t length) {
    return oc_register_range(start, length);
}
OC_EXPORT int call_submit(struct oc_transfer *transfers, size_t count) {
    return oc_submit(transfers, count);
}
OC_EXPORT int call_complete(size_t least) { return oc_complete(least); }
