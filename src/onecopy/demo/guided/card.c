/* A controller of the demo: JSON after the schema it is configured with, and none of Markdown's signs in it, which the
 * schema cannot forbid. */
#include "onecopy.h"

#define MOST_TOKENS 65536

static uint32_t mask[OC_MASK_WORDS(MOST_TOKENS)];
static uint32_t forbidden[OC_MASK_WORDS(MOST_TOKENS)];
static int grammar;

static int is_markdown(char c) { return c == '`' || c == '|' || c == '*' || c == '#'; }

static void forbid_markdown(void) {
    for (uint32_t token = 0; token < oc_control()->vocab; token++) {
        uint32_t length;
        const char *bytes = oc_token(token, &length);
        for (uint32_t i = 0; i < length; i++)
            if (is_markdown(bytes[i])) oc_mask_allow(forbidden, token);
    }
}

OC_EXPORT int init_prompt(void) {
    static char schema[4096];
    int length = oc_config(schema, sizeof schema);
    if (length > (int)sizeof schema || oc_control()->vocab > MOST_TOKENS) return 1;
    forbid_markdown();
    grammar = oc_grammar_new(OC_JSON_SCHEMA, schema, length);
    return grammar < 0;
}

OC_EXPORT int mid_process(void) {
    if (!oc_grammar_consume_step(grammar) || oc_grammar_mask(grammar, mask) != OC_OK) return oc_stop();
    for (uint32_t i = 0; i < OC_MASK_WORDS(oc_control()->vocab); i++) mask[i] &= ~forbidden[i];
    return oc_allow(mask);
}
