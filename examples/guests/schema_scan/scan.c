/* scan: counts how often a word occurs in a text that it sees as the window "schema". */
#include "onecopy.h"

/* The configuration is the word. */
OC_EXPORT int64_t count(void) {
    static char word[256];
    size_t length = oc_config_text(word, sizeof word);
    const struct oc_window *window = oc_need_window("schema");
    const char *text = (const char *)oc_data(window), *end = text + window->nbytes;
    int64_t found = 0;
    if (!length) oc_give_up("the configuration is the word to count");
    for (; text + length <= end; text++)
        if (*text == *word && memcmp(text, word, length) == 0) found++;
    return found;
}
