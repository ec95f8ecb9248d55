#define _GNU_SOURCE
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "space.h"

#define NOEXEC_SEAL 0x0008U
/* From here on a place begins where a huge page does. */
#define HUGE_PAGE ((size_t)2 << 20)
/* So many outputs at one place may be held at a time; the next ones go elsewhere. */
#define RANGES 4096

struct place {
    uint64_t nbytes; /* of the live block; 0 if there is none */
    uint64_t mapped; /* bytes that may be touched, of a live block or left by a dead one */
    int fd;          /* -1: it has none, or it was detached, or is a parent's */
};

/* Addresses for one output of each place. */
struct range {
    struct range *next;         /* of the same outputs */
    struct range *later, *earlier; /* of all */
    struct outputs *of;
    unsigned char *base;
    size_t reserved, live;
    struct place places[];
};

struct outputs {
    struct range *ranges;
    size_t count, nbytes, made;
    uint64_t idle, moved;
    bool shared, released;
    uint64_t offsets[]; /* of the places, and the end of the last */
};

/* Guards everything here: outputs are few. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct range *all;

static size_t page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static size_t round_up(size_t nbytes, size_t unit) { return (nbytes + unit - 1) / unit * unit; }

static size_t in_pages(size_t nbytes) { return round_up(nbytes, page()); }

/* ---- birth and death ---- */

struct outputs *outputs_new(const uint64_t *nbytes, size_t count, bool shared) {
    struct outputs *outputs = calloc(1, sizeof *outputs + (count + 1) * sizeof *outputs->offsets);
    if (!outputs) return NULL;
    outputs->count = count;
    outputs->shared = shared;
    for (size_t i = 0; i < count; i++) {
        const size_t unit = nbytes[i] < HUGE_PAGE ? page() : HUGE_PAGE;
        outputs->offsets[i + 1] = round_up(outputs->offsets[i] + nbytes[i], unit);
    }
    outputs->nbytes = outputs->offsets[count];
    return outputs;
}

bool outputs_shared(const struct outputs *outputs) { return outputs->shared; }

uint64_t outputs_moved(const struct outputs *outputs) {
    return __atomic_load_n(&outputs->moved, __ATOMIC_RELAXED);
}

static struct range *range_new(struct outputs *outputs) {
    if (outputs->made == RANGES) return NULL;
    struct range *range = calloc(1, sizeof *range + outputs->count * sizeof *range->places);
    if (!range) return NULL;
    range->reserved = space_reserve_granules(outputs->nbytes, &range->base);
    if (!range->reserved) {
        free(range);
        return NULL;
    }
    range->of = outputs;
    range->later = all;
    if (all) all->earlier = range;
    all = range;
    /* At the end: the first one is used whenever it can be. */
    struct range **link = &outputs->ranges;
    while (*link) link = &(*link)->next;
    *link = range;
    outputs->made++;
    space_claim(range->base, range->reserved, range, SPACE_OUTPUT);
    return range;
}

static void end_range(struct range *range) {
    struct range **link = &range->of->ranges;
    while (*link != range) link = &(*link)->next;
    *link = range->next;
    range->of->made--;
    if (range->later) range->later->earlier = range->earlier;
    *(range->earlier ? &range->earlier->later : &all) = range->later;
    space_claim(range->base, range->reserved, NULL, SPACE_NOBODY);
    munmap(range->base, range->reserved);
    free(range);
}

static void end_if_over(struct outputs *outputs) {
    if (outputs->released && !outputs->ranges) free(outputs);
}

static void add_idle(struct outputs *outputs, uint64_t nbytes) {
    __atomic_store_n(&outputs->idle, outputs->idle + nbytes, __ATOMIC_RELAXED);
}

uint64_t outputs_idle(const struct outputs *outputs) {
    return __atomic_load_n(&outputs->idle, __ATOMIC_RELAXED);
}

/* ---- blocks ---- */

static int memfd_of(size_t nbytes) {
    const char *label = "onecopy-output";
    int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING | NOEXEC_SEAL);
    /* Kernels before 6.3 do not know the last flag. */
    if (fd < 0 && errno == EINVAL) fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && ftruncate(fd, (off_t)(page() + in_pages(nbytes)))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool map_at(unsigned char *at, size_t nbytes, int access, int flags, int fd, size_t from) {
    return mmap(at, in_pages(nbytes), access, flags | MAP_FIXED | MAP_NORESERVE, fd,
                (off_t)from) != MAP_FAILED;
}

static bool map_data(unsigned char *at, size_t nbytes, int sharing, int fd) {
    return map_at(at, nbytes, PROT_READ | PROT_WRITE, sharing, fd, page());
}

/* Nothing can be read there any more; the addresses stay taken. */
static void unmap(unsigned char *at, size_t nbytes) {
    map_at(at, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static bool fill_shared(unsigned char *block, struct place *place) {
    place->fd = memfd_of(place->nbytes);
    if (place->fd < 0) return false;
    if (map_data(block, place->nbytes, MAP_SHARED, place->fd)) return true;
    close(place->fd);
    return false;
}

/* What is mapped already stays as it is, as far as it is needed. */
static bool fill_private(unsigned char *block, struct place *place) {
    const int access = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const size_t need = in_pages(place->nbytes), have = place->mapped;
    if (have > need) unmap(block + need, have - need);
    if (have < need && !map_at(block + have, need - have, access, flags, -1, 0)) return false;
    if (have < need && need >= HUGE_PAGE) madvise(block, need, MADV_HUGEPAGE);
    place->mapped = need;
    return true;
}

static void *fill(struct range *range, size_t at, size_t nbytes) {
    unsigned char *block = range->base + range->of->offsets[at];
    const uint64_t left = range->places[at].mapped;
    struct place place = {nbytes, left, -1};
    if (!(range->of->shared ? fill_shared(block, &place) : fill_private(block, &place))) return NULL;
    add_idle(range->of, -left);
    range->places[at] = place;
    range->live++;
    return block;
}

static void drop_idle(struct range *range) {
    for (size_t i = 0; i < range->of->count; i++) {
        struct place *place = &range->places[i];
        if (place->nbytes || !place->mapped) continue;
        unmap(range->base + range->of->offsets[i], place->mapped);
        add_idle(range->of, -place->mapped);
        place->mapped = 0;
    }
}

/* Ranges in which nothing lives go, but for one: the next run needs it. */
static void trim(struct outputs *outputs) {
    for (struct range *range = outputs->ranges, *next; range; range = next) {
        next = range->next;
        drop_idle(range);
        if (!range->live && (outputs->released || range != outputs->ranges)) end_range(range);
    }
}

void outputs_trim(struct outputs *outputs) {
    pthread_mutex_lock(&lock);
    trim(outputs);
    pthread_mutex_unlock(&lock);
}

void outputs_release(struct outputs *outputs) {
    pthread_mutex_lock(&lock);
    outputs->released = true;
    trim(outputs);
    end_if_over(outputs);
    pthread_mutex_unlock(&lock);
}

void *outputs_take(struct outputs *outputs, size_t place, size_t nbytes) {
    if (nbytes > outputs->offsets[place + 1] - outputs->offsets[place]) return NULL;
    pthread_mutex_lock(&lock);
    struct range *range = outputs->ranges;
    while (range && range->places[place].nbytes) range = range->next;
    if (!range) range = range_new(outputs);
    void *block = range ? fill(range, place, nbytes) : NULL;
    outputs->moved += block && range != outputs->ranges;
    pthread_mutex_unlock(&lock);
    return block;
}

/* The place that begins at an address, if a block lives there. */
static struct place *find(struct range *range, const void *block) {
    const struct outputs *outputs = range->of;
    const uint64_t offset = (uint64_t)((const unsigned char *)block - range->base);
    size_t low = 0, high = outputs->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (outputs->offsets[middle + 1] > offset) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if (low == outputs->count || outputs->offsets[low] != offset) return NULL;
    return range->places[low].nbytes ? &range->places[low] : NULL;
}

/* Drop the memory of a shared block. To free pages takes long, and nobody is to wait for that: the
 * lock is let go meanwhile. The place is taken still, and has no descriptor: a child that is forked
 * at this moment has nothing to do with it. */
static void empty(struct place *place, void *block) {
    const int fd = place->fd;
    place->fd = -1;
    pthread_mutex_unlock(&lock);
    unmap(block, place->nbytes);
    if (fd >= 0) close(fd);
    pthread_mutex_lock(&lock);
}

void outputs_give(struct range *range, void *block) {
    struct outputs *outputs = range->of;
    pthread_mutex_lock(&lock);
    struct place *place = find(range, block);
    if (!place) abort(); /* Freed twice, or never taken: go no further on broken books. */
    if (outputs->shared) empty(place, block);
    place->nbytes = 0;
    add_idle(outputs, place->mapped);
    range->live--;
    if (outputs->released || outputs->shared) trim(outputs);
    end_if_over(outputs);
    pthread_mutex_unlock(&lock);
}

/* ---- handing them over ---- */

static struct place *locate(uint64_t address) {
    enum space_kind kind;
    const void *block = (const void *)(uintptr_t)address;
    struct range *range = space_owner(block, &kind);
    struct place *place = kind == SPACE_OUTPUT ? find(range, block) : NULL;
    return place && place->fd >= 0 ? place : NULL;
}

uint64_t onecopy_output_nbytes(uint64_t address) {
    pthread_mutex_lock(&lock);
    const struct place *place = locate(address);
    const uint64_t nbytes = place ? place->nbytes : 0;
    pthread_mutex_unlock(&lock);
    return nbytes;
}

/* Through a description of its own, as any reader of the entry to be has one. */
static int make_private(unsigned char *block, const struct place *place) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", place->fd);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    const int error = map_data(block, place->nbytes, MAP_PRIVATE, fd) ? 0 : -errno;
    close(fd);
    return error;
}

int onecopy_output_detach(uint64_t address) {
    pthread_mutex_lock(&lock);
    struct place *place = locate(address);
    int fd = place ? make_private((unsigned char *)(uintptr_t)address, place) : -ENOENT;
    if (!fd) {
        fd = place->fd;
        place->fd = -1;
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

/* ---- fork ---- */

void outputs_lock(void) { pthread_mutex_lock(&lock); }

void outputs_unlock(void) { pthread_mutex_unlock(&lock); }

void outputs_inherit(void) {
    for (struct range *range = all; range; range = range->later) {
        for (size_t i = 0; i < range->of->count; i++) {
            struct place *place = &range->places[i];
            unsigned char *block = range->base + range->of->offsets[i];
            if (!place->nbytes || place->fd < 0) continue;
            /* Better to die at the first touch than to write into the parent's memory. */
            if (!map_data(block, place->nbytes, MAP_PRIVATE, place->fd)) unmap(block, place->nbytes);
            close(place->fd);
            place->fd = -1;
        }
    }
}
