/* Batch normalisation in training, with the addition of a shortcut and the ReLU that often follow it, float32, channels
   last: two passes over memory forward and two backward, where one operation after the other takes twice as many.
   Source: Ioffe and Szegedy 2015, algorithm 1 and the gradients below it. */

#include "vector.h"

enum { CHUNK = 2048 };  /* floats of a chunk of rows: what the first pass reads stays in the first-level cache */

typedef struct {
    long rows, channels;  /* rows: pictures times pixels */
    long relu;            /* 1: negative outputs become 0 */
} Norm;

static long rows_a_chunk(const Norm *n) { return n->channels >= CHUNK ? 1 : CHUNK / n->channels; }

/* Add over the rows of a chunk: of x - pivot its sum and squares, or of g its sum and that of g * (x - pivot). */
INLINE void add_up(long rows, long channels, const float *x, const float *g, const float *y, const float *pivot,
                   double *first, double *second) {
    for (long c = 0; c < channels; c += LANES) {
        vec middle = load(pivot + c), a0 = {0}, a1 = {0}, b0 = {0}, b1 = {0};
        for (long r = 0; r < rows; r++) {
            long at = r * channels + c;
            vec from_pivot = load(x + at) - middle, value = from_pivot;
            if (g) {
                value = load(g + at);
                if (y) value = passing(value, load(y + at));
            }
            if (r & 1) a1 += value, b1 += value * from_pivot;
            else a0 += value, b0 += value * from_pivot;
        }
        a0 += a1, b0 += b1;
        for (int i = 0; i < LANES; i++) first[c + i] += a0[i], second[c + i] += b0[i];
    }
}

/* Both sums over all rows, in double precision between chunks. */
static void sums(const Norm *n, const float *x, const float *g, const float *y, const float *pivot, double *first,
                 double *second) {
    long size = n->channels, chunk = rows_a_chunk(n);
    int most = threads();
    double *all = calloc(most * 2 * size, sizeof(double));
#pragma omp parallel
    {
        double *own = all + thread() * 2 * size;
#pragma omp for schedule(static)
        for (long r = 0; r < n->rows; r += chunk) {
            long rows = n->rows - r < chunk ? n->rows - r : chunk, at = r * size;
            if (!g) add_up(rows, size, x + at, 0, 0, pivot, own, own + size);
            else if (!y) add_up(rows, size, x + at, g + at, 0, pivot, own, own + size);
            else add_up(rows, size, x + at, g + at, y + at, pivot, own, own + size);
        }
    }
    memset(first, 0, size * sizeof(double));
    memset(second, 0, size * sizeof(double));
    for (int i = 0; i < most; i++)  /* in a fixed order: the same numbers every time */
        for (long c = 0; c < size; c++)
            first[c] += all[i * 2 * size + c], second[c] += all[i * 2 * size + size + c];
    free(all);
}

/* x, shortcut (or null), y: (rows, channels). Gives mean and the biased variance of each channel. */
void norm_forward(const Norm *n, const float *x, const float *shortcut, const float *weight, const float *bias, float eps,
                  float *mean, float *variance, float *y) {
    long size = n->channels;
    double *first = malloc(2 * size * sizeof(double)), *second = first + size;
    float *scale = scratch(2 * size), *shift = scale + size;
    sums(n, x, 0, 0, x, first, second);  /* the pivot is the first row: no digits are lost to a large mean */
    for (long c = 0; c < size; c++) {
        double from_pivot = first[c] / n->rows, spread = second[c] / n->rows - from_pivot * from_pivot;
        mean[c] = (float)(x[c] + from_pivot);
        variance[c] = spread > 0 ? (float)spread : 0.f;
        scale[c] = weight[c] / __builtin_sqrtf(variance[c] + eps);
        shift[c] = bias[c];
    }
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n->rows; r++)
        for (long c = 0; c < size; c += LANES) {
            long at = r * size + c;
            vec value = (load(x + at) - load(mean + c)) * load(scale + c) + load(shift + c);
            if (shortcut) value += load(shortcut + at);
            if (n->relu) value = passing(value, value);
            store(y + at, value);
        }
    free(first);
    free(scale);
}

/* g: gradient of y. y is looked at only where there is a ReLU. Gives the gradients of x, of the shortcut (or null), of
   weight and bias. */
void norm_backward(const Norm *n, const float *g, const float *x, const float *y, const float *weight,
                   const float *mean, const float *variance, float eps, float *to_x, float *to_shortcut,
                   float *to_weight, float *to_bias) {
    long size = n->channels;
    double *first = malloc(2 * size * sizeof(double)), *second = first + size;
    float *scale = scratch(3 * size), *slope = scale + size, *offset = slope + size;
    sums(n, x, g, n->relu ? y : 0, mean, first, second);
    for (long c = 0; c < size; c++) {
        double inverse = 1 / __builtin_sqrt((double)variance[c] + eps);
        to_bias[c] = (float)first[c];
        to_weight[c] = (float)(second[c] * inverse);
        scale[c] = (float)(weight[c] * inverse);
        slope[c] = (float)(-weight[c] * inverse * inverse * inverse * second[c] / n->rows);
        offset[c] = (float)(-weight[c] * inverse * first[c] / n->rows);
    }
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n->rows; r++)
        for (long c = 0; c < size; c += LANES) {
            long at = r * size + c;
            vec value = load(g + at);
            if (n->relu) value = passing(value, load(y + at));
            if (to_shortcut) store(to_shortcut + at, value);
            store(to_x + at, value * load(scale + c) + (load(x + at) - load(mean + c)) * load(slope + c) + load(offset + c));
        }
    free(first);
    free(scale);
}
