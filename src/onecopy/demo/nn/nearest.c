/* Answers questions with the nearest of many sentences, by vectors that the host's model makes.
 *
 * Reads texts/sentences.txt and texts/questions.txt, a text a line; writes all vectors, as they
 * are, to out/vectors; says "ready" after the first vector, and for each question the number of its
 * sentence. Then it waits until its input ends, so that somebody can look at it. */
#include "wasi.h"
#include "wasi_nn.h"

enum { WIDTH = 384, MOST = 128, TEXTS = FIRST_FOLDER, OUT };

static char texts[1 << 15], answer[1 << 15];
static float vectors[MOST][WIDTH];
static wasi_nn_context context;

static void load(void)
{
    static const char name[] = "embedder", config[] = "{\"embedding\": true}";
    wasi_nn_graph graph;
    if (wasi_nn_load_by_name_with_config(name, sizeof name - 1, config, sizeof config - 1, &graph))
        give_up("there is no model `embedder`");
    if (wasi_nn_init_execution_context(graph, &context))
        give_up("the model cannot be used");
}

/* A number of JSON. It is read as a double, a few units in its last place from the truth: the float
 * that is nearest to it is nearest to the truth. */
static const char *number(const char *at, float *out)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    int negative = *at == '-', exponent = 0, below = 0;
    uint64_t digits = 0;
    for (at += negative; (*at >= '0' && *at <= '9') || *at == '.'; at++) {
        if (*at == '.') {
            below = 1;
        } else {
            digits = digits * 10 + (uint64_t)(*at - '0');
            exponent -= below;
        }
    }
    if (*at == 'e') {
        int minus = *++at == '-', power = 0;
        for (at += minus || *at == '+'; *at >= '0' && *at <= '9'; at++)
            power = power * 10 + (*at - '0');
        exponent += minus ? -power : power;
    }
    double value = (double)digits;
    for (; exponent < -22; exponent += 22)
        value /= tens[22];
    value = exponent < 0 ? value / tens[-exponent] : value * tens[exponent];
    *out = (float)(negative ? -value : value);
    return at;
}

/* From {"n_embedding": …, "embedding": [ … ]} to its numbers. */
static void parse(const char *at, const char *end, float *out)
{
    while (at < end && *at != '[')
        at++;
    for (uint32_t i = 0; i < WIDTH; i++) {
        if (++at >= end)
            give_up("the model's answer is too short");
        at = number(at, &out[i]);
    }
    if (*at != ']')
        give_up("the model's answer is too long");
}

static void embed(const char *text, uint32_t nbytes, float *out)
{
    uint32_t size;
    wasi_nn_tensor prompt = {&nbytes, 1, WASI_NN_U8, text, nbytes};
    if (wasi_nn_set_input(context, 0, &prompt) || wasi_nn_compute(context) ||
        wasi_nn_get_output(context, 0, answer, sizeof answer - 1, &size))
        give_up("the model fails");
    answer[size] = 0;
    parse(answer, answer + size, out);
}

/* Embed each line of a file; returns how many vectors there are then. */
static uint32_t embed_lines(const char *file, uint32_t count)
{
    int32_t fd = open_in(TEXTS, file, 0);
    uint32_t size = read_all(fd, texts, sizeof texts);
    fd_close(fd);
    for (uint32_t start = 0, at = 0; at < size; at++) {
        if (texts[at] != '\n')
            continue;
        if (count == MOST)
            give_up("too many texts");
        embed(texts + start, at - start, vectors[count++]);
        if (count == 1)
            say("ready\n");
        start = at + 1;
    }
    return count;
}

static uint32_t nearest(const float *question, uint32_t count)
{
    uint32_t best = 0;
    double most = -2;
    for (uint32_t i = 0; i < count; i++) {
        double product = 0;
        for (uint32_t k = 0; k < WIDTH; k++)
            product += (double)question[k] * (double)vectors[i][k];
        if (product > most)
            best = i, most = product;
    }
    return best;
}

__attribute__((export_name("_start"))) void _start(void)
{
    char rest;
    load();
    uint32_t sentences = embed_lines("sentences.txt", 0);
    uint32_t all = embed_lines("questions.txt", sentences);
    int32_t fd = open_in(OUT, "vectors", 1);
    if (!write_all(fd, vectors, all * sizeof vectors[0]))
        give_up("the vectors cannot be written");
    fd_close(fd);
    for (uint32_t i = sentences; i < all; i++) {
        say_number(nearest(vectors[i], sentences));
        say("\n");
    }
    say("done\n");
    while (read_all(INPUT, &rest, 1))
        ;
    proc_exit(0);
}
