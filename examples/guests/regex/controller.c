/* regex: keeps a text to the regular expression in its configuration. */
#include "onecopy.h"

#define VOCABULARY 262144 /* as many tokens as a vocabulary may have here */

static uint32_t mask[OC_MASK_WORDS(VOCABULARY)];
static int grammar;

OC_EXPORT int init_prompt(void) {
    static char pattern[4096];
    size_t length = oc_config_text(pattern, sizeof pattern);
    if (oc_vocab_size() > VOCABULARY) oc_give_up("the vocabulary is larger than VOCABULARY");
    grammar = oc_grammar_new(OC_REGEX, pattern, length);
    if (grammar < 0) oc_give_up("the configuration is no regular expression");
    return OC_OK;
}

OC_EXPORT int mid_process(void) {
    uint32_t forced[64];
    if (!oc_grammar_consume_step(grammar)) return oc_stop();
    /* What can only go on in one way is appended without asking the model. */
    int count = oc_grammar_forced(grammar, forced, 64);
    if (count > 0) return oc_splice(0, forced, count < 64 ? (uint32_t)count : 64);
    if (oc_grammar_mask(grammar, mask) != OC_OK) return oc_stop();
    return oc_allow(mask);
}
