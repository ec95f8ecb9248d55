/* Spends its time in a host call and returns at once, so that no deadline meets it in its own code. */
#include "onecopy.h"
static uint32_t tokens[65536];
static int grammar;
OC_EXPORT int init_prompt(void) {
    uint32_t letter;
    oc_tokenize("a", 1, &letter, 1);
    for (uint32_t i = 0; i < 65536; i++) tokens[i] = letter;
    return (grammar = oc_grammar_new(OC_REGEX, "[a-z]*", 6)) < 0;
}
OC_EXPORT int mid_process(void) {
    oc_grammar_consume(grammar, tokens, 65536);
    return oc_allow(NULL);
}
