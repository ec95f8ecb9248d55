/* A worker's rows in a step: guests called one after another, as long as all goes as it mostly does.
 *
 * Everything here can be done in Python, and is where this library is not built (batch/caller.py).
 * On what is not the plain case, a mask of a guest that did well, the loop stops and says where: Python
 * then looks at that row's call from the start, finds what it wants or the right error, and
 * comes back for the rest. So nothing is refused here, and nothing is let through that Python would refuse.
 */
#include <string.h>
#include <time.h>

#include "export.h"
#include "guests.h"
#include "masks.h"

/* Of one sequence; batch/turns.py lays it out. Words of a line are in batch/steps.py, those of a
 * control page in wasm/control.py. */
struct turn {
    /* what is called */
    void *context;
    const void *function;
    union cell *cells;
    size_t count;
    void **trap;
    /* the guest's memory */
    uint8_t *base;
    uint8_t *page;   /* its control page */
    uint64_t inside; /* bytes that it has at least */
    /* where it sits */
    uint32_t *row;
    float *biases; /* its dense biases, or 0 */
    volatile uint32_t *line;
    uint64_t culprit;
    uint32_t number; /* of its row, plus 1 */
    /* what it is told in this step */
    uint32_t step, branch, appended;
    const uint32_t *tokens;
};

/* Of one worker and batch. */
struct round {
    void *(*call)(void *, const void *, union cell *, size_t, void **);
    void (*set_deadline)(void *, uint64_t);
    uint64_t epochs;
    volatile uint64_t *progress; /* workers/progress.py */
    volatile uint32_t *slot;
    const float (*spelled)[8]; /* biases of the eight tokens of a byte */
    uint64_t vocabulary;
    void *error; /* what the last call returned */
    uint32_t step;
    uint64_t most; /* nanoseconds: Python looks at a call that took longer */
    uint64_t last; /* what the last call took */
};

enum { SINCE, CULPRIT };
enum { RUNNING = 3 };
enum { TOKENS = 8, ANSWERED = 2048, KIND = 2049, TOOK = 2054 };
enum { STEP_AT = 24, RESULT_AT = 64, TOKENS_AT = 128, INLINE_TOKENS = 192, MASK = 1 };

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* Write what the call is about, and clear the result of the last one. */
static void begin(const struct turn *turn) {
    const uint32_t about[] = {turn->step, turn->branch, turn->appended};
    const uint32_t inlined = turn->appended < INLINE_TOKENS ? turn->appended : INLINE_TOKENS;
    memcpy(turn->page + STEP_AT, about, sizeof about);
    memset(turn->page + STEP_AT + sizeof about, 0, TOKENS_AT - STEP_AT - sizeof about);
    memcpy(turn->page + TOKENS_AT, turn->tokens, 4 * inlined);
}

/* Copy a mask to its row, then look at it there: the guest's may lie where others write.
 * Returns whether that was all there is to it. */
static int take_mask(const struct turn *turn, uint64_t address, size_t size) {
    const size_t words = (size + 31) / 32;
    if (address & 3 || address + 4 * words > turn->inside)
        return 0;
    if (address)
        memcpy(turn->row, turn->base + address, 4 * words);
    else
        memset(turn->row, 0xff, 4 * words);
    cut_off(turn->row, size);
    return !is_empty(turn->row, words);
}

/* Make a row's biases of its mask, eight tokens at a time. The last of them may lie beyond the vocabulary, but in
 * pages of the row. */
static void spell(const uint8_t *mask, size_t nbytes, const float (*spelled)[8], float *biases) {
    for (size_t i = 0; i < nbytes; i++)
        memcpy(biases + 8 * i, spelled[mask[i]], sizeof spelled[0]);
}

/* Call a guest and take its mask; 0 if there is more to it. */
static int run(struct round *round, const struct turn *turn) {
    uint32_t result[9];
    begin(turn);
    round->set_deadline(turn->context, round->epochs);
    round->error = round->call(turn->context, turn->function, turn->cells, turn->count, turn->trap);
    if (round->error || *turn->trap || turn->cells[0].i32)
        return 0;
    memcpy(result, turn->page + RESULT_AT, sizeof result);
    if (result[0] != MASK || result[3] /* biases */)
        return 0;
    if (!take_mask(turn, result[1], round->vocabulary))
        return 0;
    if (turn->biases)
        spell((uint8_t *)turn->row, (round->vocabulary + 31) / 32 * 4, round->spelled, turn->biases);
    return 1;
}

/* Run turns; TOOK has what was spent on each of them before.
 * Returns how many were plain; the one after those was called, and Python goes on with it. */
EXPORT long onecopy_turns(struct round *round, struct turn *const *turns, long count) {
    for (long i = 0; i < count; i++) {
        const struct turn *turn = turns[i];
        volatile uint64_t *took = (volatile uint64_t *)(turn->line + TOOK);
        const uint64_t started = now();
        round->slot[RUNNING] = turn->number;
        round->progress[CULPRIT] = turn->culprit;
        round->progress[SINCE] = started;
        const int plain = run(round, turn);
        round->last = now() - started;
        *took += round->last;
        if (!plain || round->last > round->most)
            return i;
        turn->line[KIND] = MASK;
        turn->line[ANSWERED] = round->step;
    }
    return count;
}
