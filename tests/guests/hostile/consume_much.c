/* Has the host remember tokens without end. */
#include "onecopy.h"
static uint32_t tokens[65536];
OC_EXPORT int init_prompt(void) {
    uint32_t letter;
    oc_tokenize("a", 1, &letter, 1);
    for (uint32_t i = 0; i < 65536; i++) tokens[i] = letter;
    int grammar = oc_grammar_new(OC_REGEX, "[a-z]*", 6);
    int total = 0, taken;
    while ((taken = oc_grammar_consume(grammar, tokens, 65536)) > 0) total += taken;
    oc_say_number("consumed ", total);
    return taken != OC_ERR_LIMIT;
}
OC_EXPORT int mid_process(void) { return oc_allow(NULL); }
