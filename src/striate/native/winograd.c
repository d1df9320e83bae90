/* Convolution with stride 1 by Winograd's minimal filtering, float32, channels last.

   A tile of m x m outputs needs n x n inputs, n = m + r - 1 for an r x r kernel. In the transformed domain each
   of the n*n positions is one matrix product over the channels: n*n multiplications a tile and pair of channels,
   where the definition takes m*m*r*r. Here n is 6 (4x4 outputs of a 3x3 kernel, 2x2 of a 5x5) or 4 (2x2 of a 3x3).
   Source: Lavin and Gray 2016, Fast algorithms for convolutional neural networks, section 4; points 0, 1, -1, 2,
   -2, infinity. Cross-correlation, as everywhere in networks.

   Tiles are worked on in blocks that stay in a core's second-level cache, or, where the weights are larger than that,
   in large blocks of which each core takes some positions. Rows hold a tile's channels side by
   side; panels hold 32 channels of every tile, so that a matrix product reads its right side front to back. */

#include "vector.h"

enum {
    PANEL = 32,
    INNER_CACHE = 1 << 20,   /* bytes of a block that one core works on alone */
    OUTER_CACHE = 24 << 20,  /* and of one that all share */
    LARGE_WEIGHTS = 4 << 20  /* bytes of transformed weights from which on they share */
};

typedef struct {
    long images, height, width, channels;          /* of the input */
    long out_height, out_width, out_channels;      /* of the output */
    long padding, kernel, tile;                    /* zeros on each side, r, m */
} Shape;

/* ---- the one-dimensional transforms, in place on n vectors at a stride --------------------------------- */

/* d -> B^T d */
INLINE void inputs_to(int n, vec *d, int s) {
    if (n == 4) {
        vec d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s];
        d[0] = d0 - d2, d[s] = d1 + d2, d[2 * s] = d2 - d1, d[3 * s] = d1 - d3;
        return;
    }
    vec d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s], d4 = d[4 * s], d5 = d[5 * s];
    vec even = d4 - 4.f * d2, odd = d3 - 4.f * d1, even2 = d4 - d2, odd2 = 2.f * (d3 - d1);
    d[0] = 4.f * d0 - 5.f * d2 + d4;
    d[s] = even + odd, d[2 * s] = even - odd;
    d[3 * s] = even2 + odd2, d[4 * s] = even2 - odd2;
    d[5 * s] = 4.f * d1 - 5.f * d3 + d5;
}

/* n products -> m outputs: A^T p */
INLINE void outputs_from(int n, int m, vec *p, int s) {
    if (n == 4) {
        vec p0 = p[0], p1 = p[s], p2 = p[2 * s], p3 = p[3 * s];
        p[0] = p0 + p1 + p2, p[s] = p1 - p2 - p3;
        return;
    }
    vec p0 = p[0], p5 = p[5 * s], sum = p[s] + p[2 * s], difference = p[s] - p[2 * s];
    vec sum2 = p[3 * s] + p[4 * s], difference2 = p[3 * s] - p[4 * s];
    p[0] = p0 + sum + sum2;
    p[s] = difference + 2.f * difference2;
    if (m == 2) {
        p[s] += p5;
        return;
    }
    p[2 * s] = sum + 4.f * sum2;
    p[3 * s] = difference + 8.f * difference2 + p5;
}

/* m gradients of outputs -> n gradients of products: A g, the transpose of outputs_from */
INLINE void outputs_back(int n, int m, vec *g, int s) {
    vec g0 = g[0], g1 = g[s];
    if (n == 4) {
        g[s] = g0 + g1, g[2 * s] = g0 - g1, g[3 * s] = -g1;
        return;
    }
    vec even = g0, odd = g1, even2 = g0, odd2 = 2.f * g1, last = g1;
    if (m == 4) {
        vec g2 = g[2 * s], g3 = g[3 * s];
        even += g2, odd += g3, even2 += 4.f * g2, odd2 += 8.f * g3, last = g3;
    }
    g[s] = even + odd, g[2 * s] = even - odd;
    g[3 * s] = even2 + odd2, g[4 * s] = even2 - odd2;
    g[5 * s] = last;
}

/* r weights -> n: G w */
INLINE void kernel_to(int n, int r, vec *w, int s) {
    vec w0 = w[0], w1 = w[s], w2 = w[2 * s];
    if (n == 4) {
        vec outer = 0.5f * (w0 + w2), inner = 0.5f * w1;
        w[s] = outer + inner, w[2 * s] = outer - inner, w[3 * s] = w2;
        return;
    }
    vec even = w0 + w2, odd = w1, even2 = w0 + 4.f * w2, odd2 = 2.f * w1, last = w2;
    if (r == 5) {
        vec w3 = w[3 * s], w4 = w[4 * s];
        even += w4, odd += w3, even2 += 16.f * w4, odd2 += 8.f * w3, last = w4;
    }
    w[0] = 0.25f * w0;
    w[s] = (-1 / 6.f) * (even + odd), w[2 * s] = (-1 / 6.f) * (even - odd);
    w[3 * s] = (1 / 24.f) * (even2 + odd2), w[4 * s] = (1 / 24.f) * (even2 - odd2);
    w[5 * s] = last;
}

/* n -> r: G^T u, the transpose of kernel_to */
INLINE void kernel_back(int n, int r, vec *u, int s) {
    if (n == 4) {
        vec u0 = u[0], u1 = u[s], u2 = u[2 * s], u3 = u[3 * s];
        u[0] = u0 + 0.5f * (u1 + u2), u[s] = 0.5f * (u1 - u2), u[2 * s] = 0.5f * (u1 + u2) + u3;
        return;
    }
    vec sum = (-1 / 6.f) * (u[s] + u[2 * s]), difference = (-1 / 6.f) * (u[s] - u[2 * s]);
    vec sum2 = (1 / 24.f) * (u[3 * s] + u[4 * s]), difference2 = (1 / 24.f) * (u[3 * s] - u[4 * s]);
    vec last = u[5 * s];
    u[0] = 0.25f * u[0] + sum + sum2;
    u[s] = difference + 2.f * difference2;
    u[2 * s] = sum + 4.f * sum2;
    if (r == 3) {
        u[2 * s] += last;
        return;
    }
    u[3 * s] = difference + 8.f * difference2;
    u[4 * s] = sum + 16.f * sum2 + last;
}

/* ---- matrix product ------------------------------------------------------------------------------------ */

/* c[i][0..] (+)= sum over q of a[i, q] b[q][0..]: rows x (vectors of 16), all sums in registers */
INLINE void product(int rows, int vectors, long inner, const float *a, long a_row, long a_inner, const float *b,
                    float *c, long c_row, int add) {
    vec sum[14][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) sum[i][j] = add ? load(c + i * c_row + j * LANES) : (vec){0};
    for (long q = 0; q < inner; q++, a += a_inner, b += PANEL) {
        vec right[2];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) right[j] = load(b + j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
            for (int j = 0; j < vectors; j++) sum[i][j] += a[i * a_row] * right[j];
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) store(c + i * c_row + j * LANES, sum[i][j]);
}

/* All rows of a panel: `rows` is a multiple of 14, or of 8. */
static void tall14(long rows, int vectors, long inner, const float *a, long a_row, const float *b, float *c) {
    for (long i = 0; i < rows; i += 14)
        if (vectors == 2) product(14, 2, inner, a + i * a_row, a_row, 1, b, c + i * PANEL, PANEL, 0);
        else product(14, 1, inner, a + i * a_row, a_row, 1, b, c + i * PANEL, PANEL, 0);
}

static void tall8(long rows, int vectors, long inner, const float *a, long a_inner, const float *b, float *c) {
    for (long i = 0; i < rows; i += 8)
        if (vectors == 2) product(8, 2, inner, a + i, 1, a_inner, b, c + i * PANEL, PANEL, 1);
        else product(8, 1, inner, a + i, 1, a_inner, b, c + i * PANEL, PANEL, 1);
}

static long panels(long channels) { return (channels + PANEL - 1) / PANEL; }

static int vectors_of(long channels, long panel) { return channels - panel * PANEL >= PANEL ? 2 : 1; }

/* ---- tiles --------------------------------------------------------------------------------------------- */

typedef struct {
    long position, row, panel;  /* floats from one of the n*n positions, tiles, or panels to the next */
} Layout;

/* A line more from position to position: else they would all fall on the same few sets of the cache. */
static Layout in_rows(long tiles, long channels) { return (Layout){tiles * channels + LANES, channels, PANEL}; }

static Layout in_panels(long tiles, long channels) {
    return (Layout){panels(channels) * tiles * PANEL + LANES, PANEL, tiles * PANEL};
}

/* Copy a square of a picture, zero outside of it, and transform it: B^T d B or A g A^T. */
INLINE void gather(int n, int side, int m, int back, const float *picture, long height, long width, long channels,
                   long top, long left, float *to, Layout l) {
    int inside = top >= 0 && left >= 0 && top + side <= height && left + side <= width;
    for (long c = 0; c < channels; c += LANES) {
        vec d[36];
        const float *from = picture + (top * width + left) * channels + c;
        if (inside) {
#pragma GCC unroll 8
            for (int i = 0; i < side; i++)
#pragma GCC unroll 8
                for (int j = 0; j < side; j++) d[i * n + j] = load(from + (i * width + j) * channels);
        } else {
            for (int i = 0; i < side; i++)
                for (int j = 0; j < side; j++) {
                    long y = top + i, x = left + j;
                    int there = y >= 0 && y < height && x >= 0 && x < width;
                    d[i * n + j] = there ? load(from + (i * width + j) * channels) : (vec){0};
                }
        }
#pragma GCC unroll 8
        for (int i = 0; i < side; i++)
            if (back) outputs_back(n, m, d + i * n, 1);
            else inputs_to(n, d + i * n, 1);
#pragma GCC unroll 8
        for (int j = 0; j < n; j++)
            if (back) outputs_back(n, m, d + j, n);
            else inputs_to(n, d + j, n);
        float *at = to + c / PANEL * l.panel + c % PANEL;
#pragma GCC unroll 64
        for (int p = 0; p < n * n; p++) store(at + p * l.position, d[p]);
    }
}

/* Transform the products of a tile into outputs, those that lie inside the picture. */
INLINE void scatter(int n, int m, const float *from, Layout l, float *picture, long height, long width, long channels,
                    long top, long left) {
    for (long c = 0; c < channels; c += LANES) {
        vec p[36];
        const float *at = from + c / PANEL * l.panel + c % PANEL;
#pragma GCC unroll 64
        for (int q = 0; q < n * n; q++) p[q] = load(at + q * l.position);
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) outputs_from(n, m, p + i * n, 1);
#pragma GCC unroll 8
        for (int j = 0; j < m; j++) outputs_from(n, m, p + j, n);
        float *to = picture + (top * width + left) * channels + c;
        for (int i = 0; i < m && top + i < height; i++)
            for (int j = 0; j < m && left + j < width; j++) store(to + (i * width + j) * channels, p[i * n + j]);
    }
}

typedef struct {
    long down, across, all;  /* tiles of a picture, and in all */
    long block, blocks;      /* tiles worked on at a time, a multiple of 14, and how often */
    int together;            /* all threads share a block: weights that fit no cache are read once, not by each */
} Tiles;

static long ceiling(long a, long b) { return (a + b - 1) / b; }

static Tiles tiles_of(const Shape *s) {
    Tiles t;
    long n = s->tile + s->kernel - 1, channels = s->channels + s->out_channels;
    long weights = n * n * s->channels * s->out_channels * (long)sizeof(float), tile = n * n * channels * (long)sizeof(float);
    t.down = ceiling(s->out_height, s->tile), t.across = ceiling(s->out_width, s->tile);
    t.all = s->images * t.down * t.across;
    t.together = weights > LARGE_WEIGHTS && threads() > 1;
    long cache = t.together ? OUTER_CACHE : INNER_CACHE, most = cache / tile / 14 * 14;
    most = most < 28 ? 28 : !t.together && most > 224 ? 224 : most;
    long teams = t.together ? 1 : threads(), rounds = ceiling(t.all, teams * most);
    t.block = ceiling(ceiling(t.all, teams * rounds), 14) * 14;
    t.blocks = ceiling(t.all, t.block);
    return t;
}

/* What one member of a team does of `all`: from .. to. */
typedef struct {
    long from, to;
} Part;

static Part part(long all, const Tiles *t) {
    if (!t->together) return (Part){0, all};
    return (Part){all * thread() / team(), all * (thread() + 1) / team()};
}

/* Wait for the others of the team. */
static void meet(const Tiles *t) {
    if (t->together) {
#pragma omp barrier
    }
}

/* Where a tile lies. */
typedef struct {
    long image, top, left;
} Place;

static Place place(const Tiles *t, long tile, long m) {
    return (Place){tile / (t->down * t->across), tile / t->across % t->down * m, tile % t->across * m};
}

/* ---- the three passes ---------------------------------------------------------------------------------- */

/* Weights (K, r, r, C) -> U. forward: panels of K, a row for each of C; else panels of C, a row for each of K, and the
   kernel turned by 180 degrees, which is what carries gradients back. */
INLINE void transform_weights(int n, int r, const float *weight, long outs, long ins, int forward, float *to) {
    Layout l = forward ? in_panels(ins, outs) : in_panels(outs, ins);
#pragma omp parallel for collapse(2)
    for (long k = 0; k < outs; k += LANES)
        for (long c = 0; c < ins; c += LANES) {
            float block[LANES][36][LANES];
            for (int i = 0; i < LANES; i++) {
                vec w[36];
#pragma GCC unroll 8
                for (int y = 0; y < r; y++)
#pragma GCC unroll 8
                    for (int x = 0; x < r; x++) {
                        int from = forward ? y * r + x : (r - 1 - y) * r + r - 1 - x;
                        w[y * n + x] = load(weight + ((k + i) * r * r + from) * ins + c);
                    }
#pragma GCC unroll 8
                for (int y = 0; y < r; y++) kernel_to(n, r, w + y * n, 1);
#pragma GCC unroll 8
                for (int x = 0; x < n; x++) kernel_to(n, r, w + x, n);
                if (forward)
                    for (int p = 0; p < n * n; p++) store(block[i][p], w[p]);
                else
                    for (int p = 0; p < n * n; p++)
                        store(to + p * l.position + c / PANEL * l.panel + (k + i) * l.row + c % PANEL, w[p]);
            }
            if (!forward) continue;
            for (int p = 0; p < n * n; p++) {
                float *at = to + p * l.position + k / PANEL * l.panel + c * l.row + k % PANEL;
                for (int j = 0; j < LANES; j++)
                    for (int i = 0; i < LANES; i++) at[j * l.row + i] = block[i][p][j];
            }
        }
}

INLINE void convolve(int n, int m, const Shape *s, const float *x, const float *u, float *y) {
    Tiles t = tiles_of(s);
    Layout rows = in_rows(t.block, s->channels), out = in_panels(t.block, s->out_channels);
    Layout weights = in_panels(s->channels, s->out_channels);
    long size = n * n * (rows.position + out.position), in = s->height * s->width * s->channels;
    long whole = s->out_height * s->out_width * s->out_channels, count_k = panels(s->out_channels);
    float *common = t.together ? scratch(size) : 0;
#pragma omp parallel
    {
        float *v = t.together ? common : scratch(size), *products = v + n * n * rows.position;
        for (long b = t.together ? 0 : thread(); b < t.blocks; b += t.together ? 1 : team()) {
            long first = b * t.block, count = t.all - first < t.block ? t.all - first : t.block;
            Part tiles = part(count, &t), work = part(n * n * count_k, &t);
            for (long i = tiles.from; i < tiles.to; i++) {
                Place at = place(&t, first + i, m);
                gather(n, n, m, 0, x + at.image * in, s->height, s->width, s->channels, at.top - s->padding,
                       at.left - s->padding, v + i * rows.row, rows);
            }
            meet(&t);
            for (long q = work.from; q < work.to; q++) {
                long p = q / count_k, k = q % count_k;
                tall14(ceiling(count, 14) * 14, vectors_of(s->out_channels, k), s->channels, v + p * rows.position,
                       rows.row, u + p * weights.position + k * weights.panel,
                       products + p * out.position + k * out.panel);
            }
            meet(&t);
            for (long i = tiles.from; i < tiles.to; i++) {
                Place at = place(&t, first + i, m);
                scatter(n, m, products + i * out.row, out, y + at.image * whole, s->out_height, s->out_width,
                        s->out_channels, at.top, at.left);
            }
            meet(&t);
        }
        if (!t.together) free(v);
    }
    free(common);
}

/* Gradient of the weights (K, r, r, C) from the input and the gradient of the output. */
INLINE void weight_gradient(int n, int m, int r, const Shape *s, const float *x, const float *g, float *to) {
    Tiles t = tiles_of(s);
    Layout left = in_rows(t.block, s->out_channels), right = in_panels(t.block, s->channels);
    Layout sums = in_panels(s->out_channels, s->channels);
    long size = n * n * (left.position + right.position), all = n * n * sums.position;
    long in = s->height * s->width * s->channels, out = s->out_height * s->out_width * s->out_channels;
    long count_c = panels(s->channels);
    int sets = 1;
    float *found = scratch((t.together ? 1 : threads()) * all), *common = t.together ? scratch(size) : 0;
#pragma omp parallel
    {
        float *own = found + (t.together ? 0 : thread()) * all;
        float *d = t.together ? common : scratch(size), *v = d + n * n * left.position;
        Part zeros = part(all, &t);
        memset(own + zeros.from, 0, (zeros.to - zeros.from) * sizeof(float));
        for (long b = t.together ? 0 : thread(); b < t.blocks; b += t.together ? 1 : team()) {
            long first = b * t.block, count = t.all - first < t.block ? t.all - first : t.block;
            Part tiles = part(count, &t), work = part(n * n * count_c, &t);
            for (long i = tiles.from; i < tiles.to; i++) {
                Place at = place(&t, first + i, m);
                gather(n, n, m, 0, x + at.image * in, s->height, s->width, s->channels, at.top - s->padding,
                       at.left - s->padding, v + i * right.row, right);
                gather(n, m, m, 1, g + at.image * out, s->out_height, s->out_width, s->out_channels, at.top, at.left,
                       d + i * left.row, left);
            }
            meet(&t);
            for (long q = work.from; q < work.to; q++) {
                long p = q / count_c, c = q % count_c;
                tall8(s->out_channels, vectors_of(s->channels, c), count, d + p * left.position, left.row,
                      v + p * right.position + c * right.panel, own + p * sums.position + c * sums.panel);
            }
            meet(&t);
        }
        if (!t.together) free(d);
#pragma omp barrier
#pragma omp single
        sets = t.together ? 1 : team();
        /* every thread's sums are there */
#pragma omp for collapse(2) schedule(static)
        for (long k = 0; k < s->out_channels; k++)
            for (long c = 0; c < s->channels; c += LANES) {
                vec w[36];
                const float *at = found + c / PANEL * sums.panel + k * sums.row + c % PANEL;
                for (int p = 0; p < n * n; p++) {
                    w[p] = load(at + p * sums.position);
                    for (int other = 1; other < sets; other++) w[p] += load(at + other * all + p * sums.position);
                }
#pragma GCC unroll 8
                for (int i = 0; i < n; i++) kernel_back(n, r, w + i * n, 1);
#pragma GCC unroll 8
                for (int j = 0; j < r; j++) kernel_back(n, r, w + j, n);
                for (int i = 0; i < r; i++)
                    for (int j = 0; j < r; j++)
                        store(to + ((k * r + i) * r + j) * s->channels + c, w[i * n + j]);
            }
    }
    free(found);
    free(common);
}

/* ---- what Python calls: 0 if done, 1 if there is no such form ------------------------------------------ */

long winograd_weights_size(long tile, long kernel, long rows, long columns) {
    long n = tile + kernel - 1;
    return n * n * in_panels(rows, columns).position;
}

int winograd_weights(long tile, long kernel, const float *weight, long outs, long ins, int forward, float *to) {
    if (tile == 4 && kernel == 3) transform_weights(6, 3, weight, outs, ins, forward, to);
    else if (tile == 2 && kernel == 5) transform_weights(6, 5, weight, outs, ins, forward, to);
    else if (tile == 2 && kernel == 3) transform_weights(4, 3, weight, outs, ins, forward, to);
    else return 1;
    return 0;
}

int winograd_convolve(const Shape *s, const float *x, const float *u, float *y) {
    if (s->tile == 4 && s->kernel == 3) convolve(6, 4, s, x, u, y);
    else if (s->tile == 2 && s->kernel == 5) convolve(6, 2, s, x, u, y);
    else if (s->tile == 2 && s->kernel == 3) convolve(4, 2, s, x, u, y);
    else return 1;
    return 0;
}

int winograd_weight_gradient(const Shape *s, const float *x, const float *g, float *to) {
    if (s->tile == 4 && s->kernel == 3) weight_gradient(6, 4, 3, s, x, g, to);
    else if (s->tile == 2 && s->kernel == 5) weight_gradient(6, 2, 5, s, x, g, to);
    else if (s->tile == 2 && s->kernel == 3) weight_gradient(4, 2, 3, s, x, g, to);
    else return 1;
    return 0;
}
