/* Its masks follow from all that it was told, and in which portions; its configuration says what
 * else it does: "loop=3 trap=5" loops in its third call and traps in its fifth. */
#include "onecopy.h"

static uint32_t mask[OC_MASK_WORDS(131072)];
static uint32_t tokens[8];
static char config[256];
static uint32_t state = 2166136261u;
static int calls;

static int setting(const char *name) {
    for (const char *at = config; *at; at++) {
        if (at != config && at[-1] != ' ') continue;
        size_t n = 0;
        while (name[n] && name[n] == at[n]) n++;
        if (name[n] || at[n] != '=') continue;
        int value = 0;
        for (at += n + 1; *at >= '0' && *at <= '9'; at++) value = 10 * value + *at - '0';
        return value;
    }
    return -1;
}

static void mix(uint32_t word) {
    state = (state ^ word) * 16777619u;
    state ^= state >> 13;
}

static void hear(void) {
    struct oc_control *control = oc_control();
    mix(control->token_count);
    mix(control->branch);
    for (uint32_t i = 0; i < control->token_count; i++) {
        uint32_t token;
        oc_read_tokens(i, &token, 1);
        mix(token);
    }
}

static void loop(void) {
    for (volatile int i = 0;; i++) {}
}

static void count(void) {
    uint8_t value = 0;
    oc_var_get("count", 5, &value, 1);
    value++;
    oc_var_set("count", 5, &value, 1);
    mix(value);
}

OC_EXPORT int init_prompt(void) {
    oc_config(config, sizeof config - 1);
    hear();
    if (setting("init_loop") >= 0) loop();
    if (setting("init_trap") >= 0) __builtin_trap();
    if (setting("init_splice") >= 0) {
        tokens[0] = tokens[1] = 7;
        return oc_splice(setting("init_splice"), tokens, 2);
    }
    return 0;
}

OC_EXPORT int mid_process(void) {
    struct oc_control *control = oc_control();
    calls++;
    hear();
    oc_say("called");
    if (calls == setting("loop")) loop();
    if (calls == setting("trap")) __builtin_trap();
    if (calls == setting("stop")) return oc_stop();
    if (calls == setting("fork")) return oc_fork(setting("branches"));
    if (calls == setting("choose")) return oc_choose(setting("token"));
    if (setting("count") >= 0) count();
    if (setting("splice") > 0 && calls % setting("splice") == 0) {
        for (int i = 0; i < 3; i++) tokens[i] = (state >> 8 * i) % control->vocab;
        return oc_splice(setting("back"), tokens, 3);
    }
    oc_mask_clear(mask);
    if (calls == setting("nothing")) return oc_allow(mask);
    for (uint32_t i = 0; i < 20; i++) oc_mask_allow(mask, (state + i * i * 7919) % control->vocab);
    static struct oc_bias biases[2];
    biases[0].token = state % control->vocab;
    biases[0].bias = 1.5f;
    biases[1].token = (state + 1) % control->vocab;
    biases[1].bias = -3;
    return oc_allow_biased(mask, biases, 2);
}
