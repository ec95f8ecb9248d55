/* The system calls of a load and of a save, in one step each.
 *
 * Everything here can be done in Python, and is where this library is not built
 * (store/loader.py, store/client.py): the calls themselves take 6 µs, and one step through the
 * interpreter for each of them as much again. So each function does what its counterpart does, in
 * the same order, and on anything unexpected gives up without a trace: Python then does it once
 * more, and finds the right error to raise.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "export.h"

/* An entry to open; segments/opening.py lays it out. */
struct opening {
    const volatile uint64_t *generation; /* of its slot, in the index */
    uint64_t expected;                   /* what it was when the slot was read */
    const volatile uint32_t *pulse;      /* of the daemon, in the index */
    uint64_t ino, size, extent;          /* of the segment; how much of it to map */
    uint64_t modified;                   /* of a file: when, in ns; 0 for a memfd */
    volatile uint64_t *touch;            /* of its slot: when it was last loaded, how often */
    uint32_t thread;                     /* the pulse while the daemon lives */
    int32_t directory;                   /* /proc/<daemon>/fd */
    int32_t flags, protection, sharing;  /* of openat and mmap */
    char number[12];                     /* the daemon's descriptor */
};

/* Advisory, so two at a time may count as one. */
static void touch(volatile uint64_t *slot) {
    struct timespec now;
    if (!slot)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    slot[0] = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    slot[1]++;
}

static int unmodified(const struct opening *entry, const struct stat *status) {
    const struct timespec *time = &status->st_mtim;
    return !entry->modified
        || entry->modified == (uint64_t)time->tv_sec * 1000000000ull + (uint64_t)time->tv_nsec;
}

/* Open and map an entry. Returns the address, or 0: let Python try. */
EXPORT void *onecopy_map(const struct opening *entry) {
    struct stat status;
    void *address = MAP_FAILED;
    int fd = openat(entry->directory, entry->number, entry->flags);
    if (fd < 0)
        return 0;
    /* The order matters. Unchanged now means that the daemon had not yet closed its descriptor
     * when it was opened by number, so it was this entry's. */
    if (*entry->generation == entry->expected && *entry->pulse == entry->thread
        && fstat(fd, &status) == 0 && status.st_ino == entry->ino
        && (uint64_t)status.st_size == entry->size && unmodified(entry, &status))
        address = mmap(0, entry->extent, entry->protection, entry->sharing, fd, 0);
    close(fd);
    if (address == MAP_FAILED)
        return 0;
    touch(entry->touch);
    return address;
}

/* Make a memfd of three parts and seal it. Returns its descriptor, or -1: let Python try. */
EXPORT int onecopy_fill(const char *label, int flags, int seals, const void *header, size_t header_size,
                     const void *block, size_t block_size, const void *spec, size_t spec_size) {
    struct iovec parts[3] = {
        {(void *)header, header_size}, {(void *)block, block_size}, {(void *)spec, spec_size}};
    const ssize_t size = (ssize_t)(header_size + block_size + spec_size);
    const int fd = memfd_create(label, (unsigned)flags);
    if (fd < 0)
        return -1;
    if (pwritev(fd, parts, 3, 0) == size && fcntl(fd, F_ADD_SEALS, seals) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Send a datagram with a descriptor, and receive the answer to it.
 *
 * Returns its length, -errno, or INTERRUPTED: it was sent, and a signal came before the answer.
 * Descriptors that come with the answer are dropped by the kernel: there is no room for them. */
#define INTERRUPTED (-4096)

EXPORT long onecopy_exchange(int sock, const void *message, size_t size, int fd, void *reply, size_t room) {
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } rights = {0};
    struct iovec data = {(void *)message, size};
    struct msghdr out = {.msg_iov = &data,
                         .msg_iovlen = 1,
                         .msg_control = &rights,
                         .msg_controllen = sizeof rights.space};
    struct cmsghdr *first = CMSG_FIRSTHDR(&out);
    ssize_t count;

    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(sizeof(int));
    *(int *)CMSG_DATA(first) = fd;
    do
        count = sendmsg(sock, &out, MSG_NOSIGNAL);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return -errno;
    count = recv(sock, reply, room, 0);
    if (count < 0)
        return errno == EINTR ? INTERRUPTED : -errno;
    return count;
}
