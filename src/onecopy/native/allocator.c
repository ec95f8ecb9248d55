/* torch's CPU allocator, redirected: a thread that has entered an arena gets its memory there, one
 * that runs a plan in its slots, and one that records has its allocations written down.
 *
 * torch asks one object for memory, a c10::Allocator, found by c10::GetAllocator and replaceable by
 * c10::SetAllocator. Ours is made by hand, without torch's headers, so that one library serves all
 * versions: a copy of the current one's vtable with four functions replaced. What it assumes about
 * the layout of an Allocator and of a DataPtr is checked before it is installed; where a check
 * fails it is not.
 *
 * Assumed (Itanium C++ ABI, c10/core/Allocator.h since torch 2.3): the virtual functions are, in
 * order, two destructors, allocate, is_simple_data_ptr, raw_deleter, copy_data. A DataPtr is 32
 * bytes and returned through a hidden pointer, as C returns a struct of that size.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "modes.h"
#include "output.h"
#include "region.h"
#include "space.h"

/* Install our allocator in the torch whose libc10 `libc10` is a dlopen handle of. Returns 0, or -1
 * with the reason in `reason`. Doing it twice is fine. */
EXPORT int onecopy_allocator_install(void *libc10, char *reason, size_t room);

/* Whether torch still asks our allocator: another may have been installed since. */
EXPORT int onecopy_allocator_active(void);

typedef void (*deleter)(void *);

struct data_ptr {
    void *data;
    deleter delete;
    void *context;
    struct {
        int8_t type, index;
    } device;
};

struct allocator {
    const void *vtable;
};

enum slot { COMPLETE_DTOR, DELETING_DTOR, ALLOCATE, IS_SIMPLE, RAW_DELETER, COPY_DATA, SLOTS };

/* In front of the functions: an offset, and the type's description. */
#define PREFIX 2
#define VTABLE_NBYTES ((PREFIX + SLOTS) * sizeof(void *))

#define ALLOCATOR_VTABLE "_ZTVN3c109AllocatorE"
#define IS_SIMPLE_DEFAULT "_ZNK3c109Allocator18is_simple_data_ptrERKNS_7DataPtrE"
#define SET_ALLOCATOR "_ZN3c1012SetAllocatorENS_10DeviceTypeEPNS_9AllocatorEh"
#define GET_ALLOCATOR "_ZN3c1012GetAllocatorERKNS_10DeviceTypeE"

static const int8_t cpu = 0;

static struct allocator *original;
static struct data_ptr (*original_allocate)(struct allocator *, size_t);
static deleter original_delete;
static int8_t device_index;
static struct allocator *(*get_allocator)(const int8_t *);

/* ---- the four functions ---- */

/* A block's context is its address, which says whose it is: torch's raw interface needs that. */
static void delete(void *block) {
    record_forget(block);
    enum space_kind kind;
    void *owner = space_owner(block, &kind);
    if (kind == SPACE_ARENA) {
        arena_free(owner, block);
    } else if (kind == SPACE_REPLAY) {
        region_give(owner, block);
    } else if (kind == SPACE_OUTPUT) {
        outputs_give(owner, block);
    } else {
        original_delete(block);
    }
}

static struct data_ptr describe(void *block) {
    return (struct data_ptr){block, delete, block, {cpu, device_index}};
}

static struct data_ptr allocate_outside(size_t nbytes) {
    void *block = nbytes ? arena_allocate(nbytes) : NULL;
    if (block) return describe(block);
    struct data_ptr pointer = original_allocate(original, nbytes);
    /* Whoever asks for raw_deleter may rely on every block having it. */
    if (pointer.delete == original_delete) pointer.delete = delete;
    return pointer;
}

static struct data_ptr allocate_in_modes(size_t nbytes) {
    void *block;
    size_t level;
    /* Nobody has so much: the original throws, and torch's callers see what they know. */
    if (!modes_allocate(nbytes, &block, &level)) return original_allocate(original, PTRDIFF_MAX);
    const struct data_ptr pointer = block ? describe(block) : allocate_outside(nbytes);
    modes_note(level, pointer.data, nbytes);
    return pointer;
}

static struct data_ptr allocate(struct allocator *self, size_t nbytes) {
    (void)self;
    return nbytes && modes_depth() ? allocate_in_modes(nbytes) : allocate_outside(nbytes);
}

static bool is_simple(const struct allocator *self, const struct data_ptr *pointer) {
    (void)self;
    return pointer->data == pointer->context;
}

static deleter raw_deleter(const struct allocator *self) {
    (void)self;
    return delete;
}

static void copy_data(const struct allocator *self, void *to, const void *from, size_t nbytes) {
    (void)self;
    memcpy(to, from, nbytes);
}

/* ---- the checks ---- */

static const void *vtable[PREFIX + SLOTS];
static struct allocator ours = {vtable + PREFIX};

/* The abstract class's vtable shows the layout: what is pure is marked so, and one function in it is
 * exported under its name. */
static const char *check_vtable(void *libc10) {
    void *const *abstract = dlsym(libc10, ALLOCATOR_VTABLE);
    const void *pure = dlsym(libc10, "__cxa_pure_virtual");
    const void *simple = dlsym(libc10, IS_SIMPLE_DEFAULT);
    if (!abstract || !pure || !simple) return "this torch has another c10::Allocator";
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    if (!dladdr1(abstract, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol ||
        symbol->st_size != VTABLE_NBYTES) {
        return "c10::Allocator has other virtual functions than those known";
    }
    abstract += PREFIX;
    if (abstract[ALLOCATE] != pure || abstract[IS_SIMPLE] != simple || abstract[COPY_DATA] != pure) {
        return "the virtual functions of c10::Allocator are in another order";
    }
    return NULL;
}

/* Take a block from the current allocator, and look at what describes it. */
static const char *check_data_ptr(void) {
    const size_t nbytes = 64;
    const struct data_ptr pointer = original_allocate(original, nbytes);
    if (!pointer.data || pointer.data != pointer.context || pointer.delete != original_delete ||
        pointer.device.type != cpu) {
        return "blocks of the current CPU allocator are not described as expected";
    }
    memset(pointer.data, 1, nbytes);
    pointer.delete(pointer.context);
    device_index = pointer.device.index;
    return NULL;
}

static const char *adopt(void *libc10) {
    get_allocator = (struct allocator * (*)(const int8_t *)) dlsym(libc10, GET_ALLOCATOR);
    if (!get_allocator) return "c10::GetAllocator was not found";
    const char *trouble = check_vtable(libc10);
    if (trouble) return trouble;
    original = get_allocator(&cpu);
    if (!original) return "torch has no CPU allocator";
    const void *const *slots = original->vtable;
    memcpy(vtable, slots - PREFIX, sizeof vtable);
    original_allocate = (struct data_ptr(*)(struct allocator *, size_t))slots[ALLOCATE];
    original_delete = ((deleter(*)(const struct allocator *))slots[RAW_DELETER])(original);
    if (!original_delete) return "the current CPU allocator has no raw deleter";
    return check_data_ptr();
}

static const char *install(void *libc10) {
    void (*set_allocator)(int8_t, struct allocator *, uint8_t) =
        (void (*)(int8_t, struct allocator *, uint8_t))dlsym(libc10, SET_ALLOCATOR);
    if (!set_allocator) return "c10::SetAllocator was not found";
    const char *trouble = adopt(libc10);
    if (trouble) return trouble;
    vtable[PREFIX + ALLOCATE] = (const void *)allocate;
    vtable[PREFIX + IS_SIMPLE] = (const void *)is_simple;
    vtable[PREFIX + RAW_DELETER] = (const void *)raw_deleter;
    vtable[PREFIX + COPY_DATA] = (const void *)copy_data;
    /* No higher a priority than it takes: the next one in line wants to be heard too. */
    for (int priority = 0; priority <= UINT8_MAX && !onecopy_allocator_active(); priority++) {
        set_allocator(cpu, &ours, (uint8_t)priority);
    }
    return onecopy_allocator_active() ? NULL : "c10::SetAllocator did not take it";
}

int onecopy_allocator_active(void) { return get_allocator && get_allocator(&cpu) == &ours; }

int onecopy_allocator_install(void *libc10, char *reason, size_t room) {
    /* Once only: a second time the current allocator may be one that asks ours. */
    static bool tried;
    static const char *trouble;
    if (!tried) trouble = install(libc10);
    tried = true;
    if (!trouble && !onecopy_allocator_active()) trouble = "another CPU allocator was installed since";
    if (trouble) snprintf(reason, room, "%s", trouble);
    return trouble ? -1 : 0;
}
