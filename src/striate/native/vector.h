/* Sixteen float32 numbers as one value: the compiler's own vectors, so any processor will do. */
#pragma once

#include <stdlib.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
static inline int threads(void) { return omp_get_max_threads(); }
static inline int team(void) { return omp_get_num_threads(); }
static inline int thread(void) { return omp_get_thread_num(); }
#else
static inline int threads(void) { return 1; }
static inline int team(void) { return 1; }
static inline int thread(void) { return 0; }
#endif

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16 };

typedef float vec __attribute__((vector_size(64)));
typedef float loose __attribute__((vector_size(64), aligned(4), may_alias));  /* at any address */

INLINE vec load(const float *from) { return *(const loose *)from; }
INLINE void store(float *to, vec value) { *(loose *)to = value; }

/* What a ReLU lets through: value, but 0 where `where` is not above 0. No number stays none, so that it shows. */
INLINE vec passing(vec value, vec where) {
    typedef int bits __attribute__((vector_size(64)));
    return (vec)((bits)value & ~(bits)(where <= 0.f));
}

/* Memory that a cache line or a vector never straddles; the caller frees it. */
static inline float *scratch(long floats) {
    size_t bytes = ((size_t)floats * sizeof(float) + 63) / 64 * 64;
    return aligned_alloc(64, bytes);
}
