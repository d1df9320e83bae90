/* Maximum over windows, with the ReLU that often comes before it, float32, channels last: one pass over memory, and a
   byte an output remembers where the maximum was. Numbers, ties and gradients are those of ReLU and pooling in turn. */

#include "vector.h"

#include <math.h>
#include <stdint.h>

enum { NOWHERE = 255 };  /* all of the window is negative: no gradient goes back */

typedef struct {
    long images, height, width, channels;
    long out_height, out_width;
    long kernel, stride, padding;  /* kernel * kernel < NOWHERE */
    long relu;
} Pool;

static long least(long a, long b) { return a < b ? a : b; }

static long most(long a, long b) { return a > b ? a : b; }

/* The rows and columns of the picture that a window covers. */
typedef struct {
    long top, left, first_row, last_row, first_column, last_column;
} Window;

static Window window(const Pool *s, long i, long j) {
    long top = i * s->stride - s->padding, left = j * s->stride - s->padding;
    return (Window){top, left, most(top, 0), least(top + s->kernel, s->height), most(left, 0),
                    least(left + s->kernel, s->width)};
}

/* The maximum of up to sixteen channels; no number counts as the largest, so that it shows. end: of all numbers, behind
   which nothing may be read. */
INLINE void largest(int lanes, const Pool *s, Window w, const float *picture, const float *end, float *y, uint8_t *from) {
    typedef int bits __attribute__((vector_size(64)));
    typedef uint8_t bytes __attribute__((vector_size(16)));
    vec best = (vec){0} - (s->relu ? 0.f : INFINITY);
    bits place = (bits){0} + NOWHERE;
    for (long u = w.first_row; u < w.last_row; u++)
        for (long v = w.first_column; v < w.last_column; v++) {
            const float *at = picture + (u * s->width + v) * s->channels;
            vec value = {0};
            if (at + LANES <= end) value = load(at);  /* the lanes above are the next pixel's, and not kept */
            else memcpy(&value, at, lanes * sizeof(float));
            bits take = (value > best) | (value != value);
            best = (vec)(((bits)value & take) | ((bits)best & ~take));
            place = ((int)((u - w.top) * s->kernel + v - w.left) & take) | (place & ~take);
        }
    bytes places = __builtin_convertvector(place, bytes);
    if (lanes == LANES) {
        store(y, best);
        memcpy(from, &places, LANES);
    } else {
        for (int c = 0; c < lanes; c++) y[c] = best[c], from[c] = places[c];
    }
}

void pool_forward(const Pool *s, const float *x, float *y, uint8_t *from) {
    long size = s->channels;
    const float *end = x + s->images * s->height * s->width * size;
#pragma omp parallel for collapse(2) schedule(static)
    for (long image = 0; image < s->images; image++)
        for (long i = 0; i < s->out_height; i++)
            for (long j = 0; j < s->out_width; j++) {
                const float *picture = x + image * s->height * s->width * size;
                long out = ((image * s->out_height + i) * s->out_width + j) * size, c = 0;
                Window w = window(s, i, j);
                for (; c + LANES <= size; c += LANES)
                    largest(LANES, s, w, picture + c, end, y + out + c, from + out + c);
                if (c < size) largest((int)(size - c), s, w, picture + c, end, y + out + c, from + out + c);
            }
}

void pool_backward(const Pool *s, const float *g, const uint8_t *from, float *to) {
    long size = s->channels, picture = s->height * s->width * size;
#pragma omp parallel for schedule(static)
    for (long image = 0; image < s->images; image++) {
        float *start = to + image * picture;
        long step[NOWHERE + 1];
        for (long p = 0; p < NOWHERE; p++) step[p] = (p / s->kernel * s->width + p % s->kernel) * size;
        memset(start, 0, picture * sizeof(float));
        for (long i = 0; i < s->out_height; i++)
            for (long j = 0; j < s->out_width; j++) {
                Window w = window(s, i, j);
                long corner = (w.top * s->width + w.left) * size;
                long inside = (w.first_row * s->width + w.first_column) * size;
                long out = ((image * s->out_height + i) * s->out_width + j) * size;
                for (long c = 0; c < size; c++) {
                    int place = from[out + c], none = place == NOWHERE;  /* no branch: it could not be foreseen */
                    start[(none ? inside : corner + step[place]) + c] += none ? 0.f : g[out + c];
                }
            }
    }
}
