/* packing: plans of an arena. The same steps as planner/packing/search.py and greedy.py, which
 * explain them: both visit the same nodes, in the same order.
 *
 * No other memory than its own is touched, and nothing is shared: each search is its caller's.
 */
#ifndef ONECOPY_PACKING_H
#define ONECOPY_PACKING_H

#include "export.h"
#include "grid.h"

enum packing_status { PACKING_RUNNING, PACKING_FOUND, PACKING_EXHAUSTED, PACKING_NO_MEMORY };

struct search;

/* Start a search for a plan in which no buffer is above its `highest` offset, nor a section above
 * `ceiling`. With `crowded`, ties are broken for buffers where most is still to be placed, then by
 * their order. The arrays are copied. NULL if there is no memory. */
EXPORT struct search *onecopy_packing_new(const struct grid *grid, const int64_t *highest,
                                          int64_t ceiling, int crowded);

/* Go on for so many nodes; return how it stands, an `enum packing_status`. */
EXPORT int onecopy_packing_run(struct search *search, int64_t nodes);

/* Return how many nodes it has visited. */
EXPORT int64_t onecopy_packing_nodes(const struct search *search);

/* Write the offsets of the plan that was found. */
EXPORT void onecopy_packing_offsets(const struct search *search, int64_t *offsets);

EXPORT void onecopy_packing_free(struct search *search);

/* Place buffers in each of some orders, each into the lowest hole that is large enough, the fixed
 * ones first; write the offsets for each order. Return 0, or PACKING_NO_MEMORY. */
EXPORT int onecopy_first_fit(const struct grid *grid, int64_t orders, const int64_t *order,
                             int64_t *offsets);

#endif
