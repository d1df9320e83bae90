/* What follows a convolution in prediction, in one pass over its result: bias, shortcut, ReLU. */

typedef struct {
    long rows, channels, relu; /* rows: pixels of all pictures */
} After;

void after_convolution(const After *n, const float *bias, const float *shortcut, float *y) {
    const float least = n->relu ? 0.0f : -__builtin_inff();
#pragma omp parallel for schedule(static)
    for (long row = 0; row < n->rows; row++) {
        float *to = y + row * n->channels;
        if (shortcut) {
            const float *from = shortcut + row * n->channels;
            for (long c = 0; c < n->channels; c++) {
                const float v = to[c] + bias[c] + from[c];
                to[c] = v < least ? least : v; /* what is no number stays none */
            }
        } else {
            for (long c = 0; c < n->channels; c++) {
                const float v = to[c] + bias[c];
                to[c] = v < least ? least : v;
            }
        }
    }
}
