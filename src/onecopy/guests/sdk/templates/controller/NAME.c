/* NAME: a controller. It decides, after each token, which tokens may come next.
 *
 * This one lets through what its configuration says, a JSON schema, and adds what a grammar cannot
 * say well: no token with an exclamation mark, and an end after LIMIT tokens. Change it as you like.
 */
#include "onecopy.h"

#define VOCABULARY 262144 /* as many tokens as your tokenizers have at most */
#define LIMIT 200

static uint32_t mask[OC_MASK_WORDS(VOCABULARY)];
static uint32_t forbidden[OC_MASK_WORDS(VOCABULARY)];
static int grammar;
static uint32_t used;

/* Called once, with the prompt's tokens in oc_control()->tokens. There is time here: compile
 * grammars, look at the whole vocabulary. A result other than 0 fails the sequence. */
OC_EXPORT int init_prompt(void) {
    static char schema[16384];
    size_t length = oc_config_text(schema, sizeof schema);
    if (oc_vocab_size() > VOCABULARY) oc_give_up("the vocabulary is larger than VOCABULARY");
    grammar = oc_grammar_new(OC_JSON_SCHEMA, schema, length);
    if (grammar < 0) oc_give_up("the configuration is no JSON schema");
    oc_mask_where_contains(forbidden, "!");
    return OC_OK;
}

/* Called before each token, with those that were appended since the last call: none the first time.
 * There is little time here: a few milliseconds for all sequences of a batch. */
OC_EXPORT int mid_process(void) {
    used += oc_step_count();
    if (used > LIMIT) return oc_stop();
    if (oc_grammar_step(grammar, mask) != OC_OK) return oc_stop();
    oc_mask_veto(mask, forbidden);
    /* An empty mask would fail the sequence: end it instead. */
    return oc_mask_count(mask) ? oc_allow(mask) : oc_stop();
}
