/* quotes: what the text puts between double quotes must occur in the document, word for word.
 *
 * The document is the window "document", or without one the prompt. Outside quotes everything is
 * allowed. Within quotes, `places` are the positions in the document where the quotation so far
 * could go on; which tokens fit there is looked up in a table of all tokens by their bytes.
 */
#include "onecopy.h"

#define VOCABULARY 262144 /* as many tokens as a vocabulary may have here */
#define DOCUMENT 65536    /* bytes */
#define BUCKETS 524288    /* a power of two, larger than VOCABULARY */
#define LONGEST 32        /* bytes of a token; within quotes, longer ones are not allowed */

static uint32_t mask[OC_MASK_WORDS(VOCABULARY)];
static uint32_t outside[OC_MASK_WORDS(VOCABULARY)]; /* tokens without a quote */
static uint32_t opening[OC_MASK_WORDS(VOCABULARY)]; /* tokens that a quotation can begin with */
static uint32_t with_quote[VOCABULARY], quote_count;
static uint32_t table[BUCKETS], longest; /* token + 1; 0 is empty */
static char copied[DOCUMENT];
static const char *document;
static uint32_t size;

static uint32_t places[DOCUMENT], place_count;
static int in_quote, is_empty; /* is_empty: nothing has been quoted yet */

/* One step of FNV-1a, a hash. */
static uint32_t mix(uint32_t hash, char byte) { return (hash ^ (uint8_t)byte) * 16777619u; }

static void remember(uint32_t token, const char *bytes, uint32_t length) {
    uint32_t at = 2166136261u;
    for (uint32_t i = 0; i < length; i++) at = mix(at, bytes[i]);
    for (at %= BUCKETS; table[at]; at = (at + 1) % BUCKETS) {}
    table[at] = token + 1;
    if (length > longest) longest = length;
}

/* Add all tokens that the document has at a place. */
static void allow_at(uint32_t *set, uint32_t place) {
    uint32_t hash = 2166136261u;
    for (uint32_t n = 1; n <= longest && place + n <= size; n++) {
        hash = mix(hash, document[place + n - 1]);
        for (uint32_t at = hash % BUCKETS; table[at]; at = (at + 1) % BUCKETS) {
            uint32_t length;
            const char *bytes = oc_token(table[at] - 1, &length);
            if (length == n && memcmp(bytes, document + place, n) == 0) oc_mask_allow(set, table[at] - 1);
        }
    }
}

static void open_quote(void) {
    in_quote = is_empty = 1;
    for (place_count = 0; place_count < size; place_count++) places[place_count] = place_count;
}

/* Go on by one byte of the text. */
static void feed(char c) {
    if (c == '"') {
        if (in_quote) in_quote = 0;
        else open_quote();
        return;
    }
    if (!in_quote) return;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < place_count; i++)
        if (places[i] < size && document[places[i]] == c) places[kept++] = places[i] + 1;
    place_count = kept;
    is_empty = 0;
}

/* Return whether a text occurs in the document, from one of the places on. */
static int occurs(const char *text, uint32_t length, int anywhere) {
    uint32_t n = anywhere ? size : place_count;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = anywhere ? i : places[i];
        if (at + length <= size && memcmp(document + at, text, length) == 0) return 1;
    }
    return 0;
}

/* Return whether a token with quotes in it fits: each piece that lies within quotes must occur. */
static int fits(uint32_t token) {
    uint32_t length, start = 0;
    const char *bytes = oc_token(token, &length);
    int within = in_quote, first = 1;
    for (uint32_t i = 0; i <= length; i++) {
        if (i < length && bytes[i] != '"') continue;
        int closes = i < length, has_text = i > start || (first && !is_empty);
        if (within && closes && !has_text) return 0; /* "" quotes nothing */
        if (within && !occurs(bytes + start, i - start, !first || !in_quote)) return 0;
        within = !within;
        first = 0;
        start = i + 1;
    }
    return 1;
}

static void read_prompt(void) {
    for (uint32_t i = 0; i < oc_step_count(); i++) {
        uint32_t length;
        const char *bytes = oc_token(oc_step_token(i), &length);
        if (size + length > DOCUMENT) oc_give_up("the prompt is longer than DOCUMENT");
        memcpy(copied + size, bytes, length);
        size += length;
    }
    document = copied;
}

OC_EXPORT int init_prompt(void) {
    const struct oc_window *window = oc_window("document");
    if (oc_vocab_size() > VOCABULARY) oc_give_up("the vocabulary is larger than VOCABULARY");
    if (!window) read_prompt();
    else if (window->nbytes > DOCUMENT) oc_give_up("the document is longer than DOCUMENT");
    else document = (const char *)oc_data(window), size = window->nbytes;
    for (uint32_t token = 0; token < oc_vocab_size(); token++) {
        uint32_t length;
        const char *bytes = oc_token(token, &length);
        if (oc_token_contains(token, "\"")) with_quote[quote_count++] = token;
        else if (length) oc_mask_allow(outside, token);
        if (length && length <= LONGEST) remember(token, bytes, length);
    }
    oc_mask_allow(outside, oc_eos());
    for (uint32_t i = 0; i < size; i++) allow_at(opening, i);
    return OC_OK;
}

OC_EXPORT int mid_process(void) {
    for (uint32_t i = 0; i < oc_step_count(); i++) {
        uint32_t length;
        const char *bytes = oc_token(oc_step_token(i), &length);
        for (uint32_t k = 0; k < length; k++) feed(bytes[k]);
    }
    oc_mask_copy(mask, in_quote ? opening : outside);
    if (in_quote && !is_empty) {
        oc_mask_clear(mask);
        for (uint32_t i = 0; i < place_count; i++) allow_at(mask, places[i]);
    }
    for (uint32_t i = 0; i < quote_count; i++)
        if (fits(with_quote[i])) oc_mask_allow(mask, with_quote[i]);
        else oc_mask_forbid(mask, with_quote[i]);
    return oc_allow(mask);
}
