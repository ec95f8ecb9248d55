/* json_budget: a JSON schema, and what no grammar can say: all numbers together stay in a budget.
 *
 * The configuration is the budget, a line break, and the schema. Numbers of the schema are integers
 * from 1 on. Items, and so their prices, are objects in an array in the outermost object: a comma
 * between them may only come while there is something left to spend.
 */
#include "onecopy.h"

#define VOCABULARY 262144 /* as many tokens as a vocabulary may have here */

/* Where in the text we are, as far as it matters for the budget. */
struct state {
    uint8_t in_string, escaped, in_number, broken;
    uint32_t depth, number, spent;
};

static uint32_t mask[OC_MASK_WORDS(VOCABULARY)];
static uint32_t harmless[OC_MASK_WORDS(VOCABULARY)]; /* within a string, these end nothing */
static int grammar;
static uint32_t budget;
static struct state now;

static void feed(struct state *s, char c) {
    if (s->in_string) {
        if (!s->escaped && c == '"') s->in_string = 0;
        s->escaped = !s->escaped && c == '\\';
        return;
    }
    if (c >= '0' && c <= '9') {
        s->number = s->in_number ? s->number * 10 + (uint32_t)(c - '0') : (uint32_t)(c - '0');
        s->in_number = 1;
        if (s->number > budget - s->spent) s->broken = 1;
        return;
    }
    if (s->in_number && !s->broken) s->spent += s->number;
    s->in_number = 0;
    if (c == '"') s->in_string = 1;
    if (c == '{' || c == '[') s->depth++;
    if (c == '}' || c == ']') s->depth--;
    if (c == ',' && s->depth == 2 && s->spent == budget) s->broken = 1;
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') s->broken = 1; /* no blanks, to be brief */
}

static struct state after(struct state s, uint32_t token) {
    uint32_t length;
    const char *bytes = oc_token(token, &length);
    for (uint32_t i = 0; i < length && !s.broken; i++) feed(&s, bytes[i]);
    return s;
}

static int ends_nothing(uint32_t token, void *context) {
    (void)context;
    return !oc_token_contains(token, "\"") && !oc_token_contains(token, "\\");
}

OC_EXPORT int init_prompt(void) {
    static char config[16384];
    size_t length = oc_config_text(config, sizeof config), i = 0;
    if (oc_vocab_size() > VOCABULARY) oc_give_up("the vocabulary is larger than VOCABULARY");
    for (; config[i] >= '0' && config[i] <= '9'; i++) budget = budget * 10 + (uint32_t)(config[i] - '0');
    if (!budget || config[i] != '\n') oc_give_up("the configuration is a budget, a line break, a schema");
    grammar = oc_grammar_new(OC_JSON_SCHEMA, config + i, length - i);
    if (grammar < 0) oc_give_up("the configuration has no JSON schema");
    oc_mask_where(harmless, ends_nothing, NULL);
    return OC_OK;
}

OC_EXPORT int mid_process(void) {
    if (oc_grammar_step(grammar, mask) != OC_OK) return oc_stop();
    for (uint32_t i = 0; i < oc_step_count(); i++) now = after(now, oc_step_token(i));
    /* Only what the grammar allows is looked at: 32 tokens at a time, and most words are empty. */
    for (uint32_t i = 0, n = oc_mask_words(); i < n; i++) {
        uint32_t left = mask[i];
        if (now.in_string && !now.escaped) left &= ~harmless[i];
        for (; left; left &= left - 1) {
            uint32_t token = i * 32 + (uint32_t)__builtin_ctz(left);
            if (after(now, token).broken) oc_mask_forbid(mask, token);
        }
    }
    return oc_allow(mask);
}
