/* Ways out of a folder: upwards, absolute, through links that are there or are made. */
#include "tiny.h"

static void refused(const char *path) {
    int32_t fd = -1;
    EXPECT(open_at(path, 0, READ, &fd) != 0 && fd == -1);
    EXPECT(open_at(path, CREATE, WRITE, &fd) != 0 && fd == -1);
}

MAIN {
    int32_t fd;
    EXPECT(open_at("inside", 0, READ, &fd) == 0);
    EXPECT(open_at("folder/../inside", 0, READ, &fd) == 0);
    refused("..");
    refused("../secret");
    refused("folder/../../secret");
    refused("folder/../../../../../../etc/passwd");
    refused("/etc/passwd");
    refused("/proc/self/mem");
    refused("/proc/self/fd/0");
    refused("link");       /* to ../secret */
    refused("absolute");   /* to the secret by its whole path */
    refused("up/secret");  /* up is a link to .. */
    refused("self/mem");   /* self is a link to /proc/self */
    refused("chain");      /* to link */

    EXPECT(path_symlink("/etc", 4, FOLDER, "made", 4) != 0);
    refused("made/passwd");
    (void)path_symlink("../secret", 9, FOLDER, "made2", 5);
    refused("made2");
    EXPECT(path_link(FOLDER, 1, "link", 4, FOLDER, "hard", 4) != 0);
    EXPECT(path_link(FOLDER, 0, "../secret", 9, FOLDER, "hard", 4) != 0);
    EXPECT(path_rename(FOLDER, "../secret", 9, FOLDER, "stolen", 6) != 0);
    EXPECT(path_rename(FOLDER, "inside", 6, FOLDER, "../leaked", 9) != 0);

    /* Descriptors that were not handed over. */
    for (fd = 4; fd < 64; fd++) {
        char byte;
        struct piece piece = {&byte, 1};
        uint32_t n;
        int32_t none;
        if (fd > 5) EXPECT(fd_read(fd, &piece, 1, &n) != 0);
        EXPECT(path_open(fd, 1, "inside", 6, 0, READ, READ, 0, &none) != 0);
    }
}
