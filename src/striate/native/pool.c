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

/* The maximum of up to sixteen channels; no number counts as the largest, so that it shows. */
INLINE void largest(int lanes, const Pool *s, Window w, const float *picture, float *y, uint8_t *from) {
    float best[LANES];
    int place[LANES];
    for (int c = 0; c < lanes; c++) best[c] = s->relu ? 0.f : -INFINITY, place[c] = NOWHERE;
    for (long u = w.first_row; u < w.last_row; u++)
        for (long v = w.first_column; v < w.last_column; v++) {
            const float *at = picture + (u * s->width + v) * s->channels;
            int here = (int)((u - w.top) * s->kernel + v - w.left);
            for (int c = 0; c < lanes; c++) {
                float value = at[c];
                int take = (value > best[c]) | (value != value);
                best[c] = take ? value : best[c];
                place[c] = take ? here : place[c];
            }
        }
    for (int c = 0; c < lanes; c++) y[c] = best[c], from[c] = (uint8_t)place[c];
}

void pool_forward(const Pool *s, const float *x, float *y, uint8_t *from) {
    long size = s->channels;
#pragma omp parallel for collapse(2) schedule(static)
    for (long image = 0; image < s->images; image++)
        for (long i = 0; i < s->out_height; i++)
            for (long j = 0; j < s->out_width; j++) {
                const float *picture = x + image * s->height * s->width * size;
                long out = ((image * s->out_height + i) * s->out_width + j) * size, c = 0;
                Window w = window(s, i, j);
                for (; c + LANES <= size; c += LANES) largest(LANES, s, w, picture + c, y + out + c, from + out + c);
                if (c < size) largest((int)(size - c), s, w, picture + c, y + out + c, from + out + c);
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
