/* filter: works on the image in the writable window "frame", of bytes, [height, width, channels]. */
#include "onecopy.h"

#define ROW 32768 /* the most bytes that a row may have */

struct image {
    uint8_t *bytes;
    uint32_t height, width, channels, stride;
};

static struct image frame(void) {
    const struct oc_window *w = oc_need_window("frame");
    if (w->dtype != OC_U8 || w->rank != 3) oc_give_up("the frame is bytes, [height, width, channels]");
    if (!(w->flags & OC_WRITABLE)) oc_give_up("the frame must be writable (rw)");
    if (w->shape[1] * w->shape[2] > ROW) oc_give_up("a row of the frame has more than ROW bytes");
    if (w->strides[2] != 1 || w->strides[1] != w->shape[2]) oc_give_up("the rows have holes");
    struct image image = {(uint8_t *)oc_data(w), w->shape[0], w->shape[1], w->shape[2], w->strides[0]};
    return image;
}

OC_EXPORT void invert(void) {
    struct image image = frame();
    for (uint32_t y = 0; y < image.height; y++)
        for (uint32_t x = 0; x < image.width * image.channels; x++)
            image.bytes[y * image.stride + x] ^= 255;
}

/* Add up three neighbours in a row; at the edges the pixel itself stands for the missing one. */
static void sums(const uint8_t *row, uint16_t *out, struct image image) {
    uint32_t n = image.width * image.channels, c = image.channels;
    for (uint32_t x = 0; x < n; x++)
        out[x] = (uint16_t)(row[x] + row[x < c ? x : x - c] + row[x + c < n ? x + c : x]);
}

/* Replace each pixel by the mean of the 3 x 3 around it, in place: the sums of three rows are enough
 * to remember. */
OC_EXPORT void blur(void) {
    static uint16_t above[ROW], here[ROW], below[ROW];
    struct image image = frame();
    uint32_t n = image.width * image.channels;
    if (!image.height) return;
    sums(image.bytes, here, image);
    memcpy(above, here, sizeof above);
    for (uint32_t y = 0; y < image.height; y++) {
        uint8_t *row = image.bytes + y * image.stride;
        sums(y + 1 < image.height ? row + image.stride : row, below, image);
        for (uint32_t x = 0; x < n; x++) row[x] = (uint8_t)((above[x] + here[x] + below[x]) / 9);
        memcpy(above, here, sizeof above);
        memcpy(here, below, sizeof here);
    }
}
