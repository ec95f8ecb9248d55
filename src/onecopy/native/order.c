#define _GNU_SOURCE
#include "order.h"

#include <stdlib.h>
#include <string.h>

#include "region.h"

/* So many runs a slot stays marked as kept, the first time and at the most. */
#define PATIENCE 16
#define PATIENCE_MOST 4096

struct order *order_new(const struct replay_slot *slots, size_t count) {
    struct order *order = calloc(1, sizeof *order + count * sizeof *slots);
    if (!order) return NULL;
    if (count) memcpy(order->slots, slots, count * sizeof *slots);
    order->count = count;
    return order;
}

void order_mark_kept(size_t slot, void *of) {
    struct order *order = of;
    __atomic_store_n(&order->slots[slot].kept, REPLAY_KEPT, __ATOMIC_RELAXED);
    order->marks++;
}

static void forget_marks(struct order *order) {
    for (size_t i = 0; i < order->count; i++) {
        uint64_t marked = REPLAY_KEPT;
        __atomic_compare_exchange_n(&order->slots[i].kept, &marked, 0, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
    }
    order->marks = 0;
}

void order_review(struct order *order, struct region *probe) {
    forget_marks(order);
    region_each_live(probe, order_mark_kept, order);
}

void order_be_patient(struct order *order, uint64_t runs, bool reviewed) {
    if (!order->marks) {
        order->patience = 0;
    } else if (reviewed || !order->patience) {
        order->patience = order->patience ? 2 * order->patience : PATIENCE;
        if (order->patience > PATIENCE_MOST) order->patience = PATIENCE_MOST;
        order->retry_at = runs + order->patience;
    }
}
