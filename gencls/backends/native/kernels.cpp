// The most expensive operations of a network on a CPU, in float32. Features have the memory layout (images, rows,
// columns, channels). The file is compiled at its first use, see `__init__.py`.
//
// The shifted convolutions use minimal filtering (S. Winograd 1980; A. Lavin and S. Gray 2016, "Fast Algorithms
// for Convolutional Neural Networks"). For a tile of 4×4 outputs, the inputs, the filter and the result are
// transformed, so that their product needs one multiplication for each of P = 25 or 30 points instead of 64 or 96.
// The product over the channels is a matrix product, which dominates the run time.

#include <cstdint>
#include <cstring>

#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_thread_num() { return 0; }
#endif

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))

typedef int64_t Int;

// Tests may set a number that differs from the vector width of the processor: slower, with equal results.
#if defined GENCLS_LANES
constexpr int LANES = GENCLS_LANES;
#elif defined __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif
constexpr int TILE = 4;    // outputs of a tile in each direction
constexpr int BLOCK = 48;  // tiles or pixels per step of a thread, which fit into its cache

typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));
typedef float Anywhere __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

INLINE Vector load(const float* from) { return *reinterpret_cast<const Anywhere*>(from); }
INLINE void store(float* to, Vector values) { *reinterpret_cast<Anywhere*>(to) = values; }
INLINE Int at_most(Int a, Int b) { return a < b ? a : b; }
INLINE Int padded(Int channels) { return (channels + LANES - 1) / LANES * LANES; }

// ---------------------------------------------------------------------------------------- transforms

// F(4, K) by Toom-Cook, of the points 0, 1, -1, 2, (-2,) and infinity.
template <int K> struct Filtering;

template <> struct Filtering<2> {
    static constexpr int N = 5;
    static constexpr float INPUT[N][N] = {
        {2, -1, -2, 1, 0}, {0, -2, -1, 1, 0}, {0, 2, -3, 1, 0}, {0, -1, 0, 1, 0}, {0, 2, -1, -2, 1}};
    static constexpr float FILTER[N][2] = {
        {1 / 2.f, 0}, {-1 / 2.f, -1 / 2.f}, {-1 / 6.f, 1 / 6.f}, {1 / 6.f, 1 / 3.f}, {0, 1}};
    static constexpr float OUTPUT[TILE][N] = {
        {1, 1, 1, 1, 0}, {0, 1, -1, 2, 0}, {0, 1, 1, 4, 0}, {0, 1, -1, 8, 1}};
};

template <> struct Filtering<3> {
    static constexpr int N = 6;
    static constexpr float INPUT[N][N] = {{4, 0, -5, 0, 1, 0},   {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                          {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
    static constexpr float FILTER[N][3] = {
        {1 / 4.f, 0, 0},          {-1 / 6.f, -1 / 6.f, -1 / 6.f}, {-1 / 6.f, 1 / 6.f, -1 / 6.f},
        {1 / 24.f, 1 / 12.f, 1 / 6.f}, {1 / 24.f, -1 / 12.f, 1 / 6.f}, {0, 0, 1}};
    static constexpr float OUTPUT[TILE][N] = {
        {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};
};

// The matrices, and their transposes for gradients.
template <class F> struct Input { static constexpr float at(int i, int j) { return F::INPUT[i][j]; } };
template <class F> struct Filter { static constexpr float at(int i, int j) { return F::FILTER[i][j]; } };
template <class F> struct FilterT { static constexpr float at(int i, int j) { return F::FILTER[j][i]; } };
template <class F> struct Output { static constexpr float at(int i, int j) { return F::OUTPUT[i][j]; } };
template <class F> struct OutputT { static constexpr float at(int i, int j) { return F::OUTPUT[j][i]; } };

// to = Left · from · Rightᵀ, where elements are scalars or vectors; zeros in the matrices are skipped.
template <class Left, class Right, int RI, int CI, int RO, int CO, class T>
INLINE void transform(const T (&from)[RI][CI], T (&to)[RO][CO]) {
    T half[RI][CO];
    UNROLL for (int i = 0; i < RI; ++i)
        UNROLL for (int j = 0; j < CO; ++j) {
            T sum{};
            UNROLL for (int k = 0; k < CI; ++k)
                if (Right::at(j, k) != 0) sum += Right::at(j, k) * from[i][k];
            half[i][j] = sum;
        }
    UNROLL for (int j = 0; j < CO; ++j)
        UNROLL for (int i = 0; i < RO; ++i) {
            T sum{};
            UNROLL for (int k = 0; k < RI; ++k)
                if (Left::at(i, k) != 0) sum += Left::at(i, k) * half[k][j];
            to[i][j] = sum;
        }
}

// ------------------------------------------------------------------------------------ matrix products

// to(i, j) = or += Σ_k a(i, k) b(k, j) for R rows and V vectors, with the sums in registers.
template <int R, int V, bool ADD>
INLINE void product_of_registers(const float* a, Int row, Int step, const float* b, Int b_row, float* to, Int to_row,
                                 Int depth) {
    Vector sums[R][V];
    UNROLL for (int i = 0; i < R; ++i)
        UNROLL for (int j = 0; j < V; ++j) sums[i][j] = ADD ? load(to + i * to_row + j * LANES) : Vector{};
    for (Int k = 0; k < depth; ++k) {
        Vector values[V];
        UNROLL for (int j = 0; j < V; ++j) values[j] = load(b + k * b_row + j * LANES);
        UNROLL for (int i = 0; i < R; ++i) {
            float factor = a[i * row + k * step];
            UNROLL for (int j = 0; j < V; ++j) sums[i][j] += factor * values[j];
        }
    }
    UNROLL for (int i = 0; i < R; ++i)
        UNROLL for (int j = 0; j < V; ++j) store(to + i * to_row + j * LANES, sums[i][j]);
}

// Twelve simultaneous sums hide the latency of each; more do not fit into the registers.
template <int V, bool ADD>
static void product_of_columns(const float* a, Int row, Int step, const float* b, Int b_row, float* to, Int to_row,
                               Int rows, Int depth) {
    constexpr int MOST = 12 / V, FEWER = MOST - 1;
    for (Int left = rows, taken; left > 0; left -= taken, a += taken * row, to += taken * to_row) {
        taken = left % MOST == 0 ? MOST : left >= FEWER ? FEWER : left >= 2 ? 2 : 1;
        if (taken == MOST) product_of_registers<MOST, V, ADD>(a, row, step, b, b_row, to, to_row, depth);
        else if (taken == FEWER) product_of_registers<FEWER, V, ADD>(a, row, step, b, b_row, to, to_row, depth);
        else if (taken == 2) product_of_registers<2, V, ADD>(a, row, step, b, b_row, to, to_row, depth);
        else product_of_registers<1, V, ADD>(a, row, step, b, b_row, to, to_row, depth);
    }
}

// The elements of a have the strides `row` and `step`, so that a may be transposed; `width` is a multiple of LANES.
template <bool ADD>
static void product(const float* a, Int row, Int step, const float* b, Int b_row, float* to, Int to_row, Int rows,
                    Int width, Int depth) {
    Int column = 0;
    for (; column + 2 * LANES <= width; column += 2 * LANES)
        product_of_columns<2, ADD>(a, row, step, b + column, b_row, to + column, to_row, rows, depth);
    if (column < width)
        product_of_columns<1, ADD>(a, row, step, b + column, b_row, to + column, to_row, rows, depth);
}

// ---------------------------------------------------------------------------------------- convolution

struct Images {
    Int number, height, width;

    Int down() const { return (height + TILE - 1) / TILE; }
    Int across() const { return (width + TILE - 1) / TILE; }
    Int tiles() const { return number * down() * across(); }
    Int blocks() const { return (tiles() + BLOCK - 1) / BLOCK; }
};

struct Tile {
    Int image, row, column;

    Tile(const Images& s, Int number)
        : image(number / (s.down() * s.across())),
          row(number / s.across() % s.down() * TILE),
          column(number % s.across() * TILE) {}
};

// Transform a patch of pixels whose upper left corner is (row, column); pixels outside the image are zero.
template <class Left, class Right, int RI, int CI, int RO, int CO>
INLINE void transform_patch(const float* x, const Images& s, Int channels, Int image, Int row, Int column,
                             const float* zeros, float* to, Int apart) {
    const float* pixels[RI][CI];
    for (int i = 0; i < RI; ++i)
        for (int j = 0; j < CI; ++j) {
            Int r = row + i, c = column + j;
            bool inside = r >= 0 && r < s.height && c >= 0 && c < s.width;
            pixels[i][j] = inside ? x + ((image * s.height + r) * s.width + c) * channels : zeros;
        }
    Int c = 0;
    for (; c + LANES <= channels; c += LANES) {
        Vector from[RI][CI], found[RO][CO];
        UNROLL for (int i = 0; i < RI; ++i)
            UNROLL for (int j = 0; j < CI; ++j) from[i][j] = load(pixels[i][j] + c);
        transform<Left, Right>(from, found);
        UNROLL for (int i = 0; i < RO; ++i)
            UNROLL for (int j = 0; j < CO; ++j) store(to + (i * CO + j) * apart + c, found[i][j]);
    }
    for (; c < channels; ++c) {
        float from[RI][CI], found[RO][CO];
        UNROLL for (int i = 0; i < RI; ++i)
            UNROLL for (int j = 0; j < CI; ++j) from[i][j] = pixels[i][j][c];
        transform<Left, Right>(from, found);
        UNROLL for (int i = 0; i < RO; ++i)
            UNROLL for (int j = 0; j < CO; ++j) to[(i * CO + j) * apart + c] = found[i][j];
    }
}

// Apply the inverse transform to the products of a tile, and write the pixels inside the image.
template <int K>
INLINE void write_tile(const float* products, Int wide, const float* bias, float* y, const Images& s, Int channels,
                       const Tile& tile) {
    using Down = Filtering<2>;
    using Across = Filtering<K>;
    int rows = at_most(TILE, s.height - tile.row), columns = at_most(TILE, s.width - tile.column);
    float* to = y + ((tile.image * s.height + tile.row) * s.width + tile.column) * channels;
    for (Int c = 0; c < channels; c += LANES) {  // the channels of the products are padded
        Vector from[Down::N][Across::N], found[TILE][TILE], added{};
        int lanes = at_most(LANES, channels - c);
        if (bias != nullptr) std::memcpy(&added, bias + c, lanes * sizeof(float));
        UNROLL for (int i = 0; i < Down::N; ++i)
            UNROLL for (int j = 0; j < Across::N; ++j)
                from[i][j] = load(products + (i * Across::N + j) * BLOCK * wide + c);
        transform<Output<Down>, Output<Across>>(from, found);
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < columns; ++j) {
                Vector value = found[i][j] + added;
                float* pixel = to + (i * s.width + j) * channels + c;
                if (lanes == LANES) store(pixel, value);
                else std::memcpy(pixel, &value, lanes * sizeof(float));
            }
    }
}

template <int K>
static void convolve(const float* x, const float* u, const float* bias, float* y, const Images& s, Int in, Int out,
                     Int top, Int left, float* workspace, int threads) {
    using Down = Filtering<2>;
    using Across = Filtering<K>;
    constexpr int P = Down::N * Across::N;
    Int wide = padded(out), needed = in + P * BLOCK * (in + wide);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (Int block = 0; block < s.blocks(); ++block) {
        Int first = block * BLOCK, n = at_most(BLOCK, s.tiles() - first);
        float* zeros = workspace + omp_get_thread_num() * needed;
        float* inputs = zeros + in;
        float* products = inputs + P * BLOCK * in;
        std::memset(zeros, 0, in * sizeof(float));
        for (Int t = 0; t < n; ++t) {
            Tile tile(s, first + t);
            transform_patch<Input<Down>, Input<Across>, Down::N, Across::N, Down::N, Across::N>(
                x, s, in, tile.image, tile.row - top, tile.column - left, zeros, inputs + t * in, BLOCK * in);
        }
        for (int p = 0; p < P; ++p)
            product<false>(inputs + p * BLOCK * in, in, 1, u + p * in * wide, wide, products + p * BLOCK * wide, wide,
                           n, wide, in);
        for (Int t = 0; t < n; ++t)
            write_tile<K>(products + t * wide, wide, bias, y, s, out, Tile(s, first + t));
    }
}

template <int K>
static void transform_filters(const float* w, const Int* stride, float* u, Int in, Int out, int threads) {
    using Down = Filtering<2>;
    using Across = Filtering<K>;
    Int wide = padded(out);
#pragma omp parallel for num_threads(threads)
    for (Int i = 0; i < in; ++i)
        for (Int o = 0; o < wide; o += LANES) {
            Vector filters[2][K]{}, found[Down::N][Across::N];
            for (int lane = 0; lane < at_most(LANES, out - o); ++lane)
                for (int a = 0; a < 2; ++a)
                    for (int b = 0; b < K; ++b)
                        filters[a][b][lane] = w[(o + lane) * stride[0] + i * stride[1] + a * stride[2] + b * stride[3]];
            transform<Filter<Down>, Filter<Across>>(filters, found);
            for (int a = 0; a < Down::N; ++a)
                for (int b = 0; b < Across::N; ++b) store(u + ((a * Across::N + b) * in + i) * wide + o, found[a][b]);
        }
}

template <int K>
static void filter_gradient(const float* x, const float* dy, float* dw, const Images& s, Int in, Int out, Int top,
                            Int left, float* workspace, int threads) {
    using Down = Filtering<2>;
    using Across = Filtering<K>;
    constexpr int P = Down::N * Across::N;
    Int wide = padded(out), needed = in + wide + P * BLOCK * (in + wide), size = P * in * wide;
    float* sums = workspace + threads * needed;  // of each thread
    std::memset(workspace, 0, threads * (needed + size) * sizeof(float));
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int block = 0; block < s.blocks(); ++block) {
        Int first = block * BLOCK, n = at_most(BLOCK, s.tiles() - first);
        float* zeros = workspace + omp_get_thread_num() * needed;
        float* inputs = zeros + in + wide;
        float* outputs = inputs + P * BLOCK * in;
        for (Int t = 0; t < n; ++t) {
            Tile tile(s, first + t);
            transform_patch<Input<Down>, Input<Across>, Down::N, Across::N, Down::N, Across::N>(
                x, s, in, tile.image, tile.row - top, tile.column - left, zeros, inputs + t * in, BLOCK * in);
            transform_patch<OutputT<Down>, OutputT<Across>, TILE, TILE, Down::N, Across::N>(
                dy, s, out, tile.image, tile.row, tile.column, zeros, outputs + t * wide, BLOCK * wide);
        }
        float* mine = sums + omp_get_thread_num() * size;
        for (int p = 0; p < P; ++p)
            product<true>(inputs + p * BLOCK * in, 1, in, outputs + p * BLOCK * wide, wide, mine + p * in * wide, wide,
                          in, wide, n);
    }
#pragma omp parallel for num_threads(threads)
    for (Int i = 0; i < in; ++i)
        for (Int o = 0; o < wide; o += LANES) {
            Vector from[Down::N][Across::N]{}, found[2][K];
            for (int thread = 0; thread < threads; ++thread)
                for (int a = 0; a < Down::N; ++a)
                    for (int b = 0; b < Across::N; ++b)
                        from[a][b] += load(sums + thread * size + ((a * Across::N + b) * in + i) * wide + o);
            transform<FilterT<Down>, FilterT<Across>>(from, found);
            for (int lane = 0; lane < at_most(LANES, out - o); ++lane)
                for (int a = 0; a < 2; ++a)
                    for (int b = 0; b < K; ++b) dw[(((o + lane) * in + i) * 2 + a) * K + b] = found[a][b][lane];
        }
}

// ------------------------------------------------------------------------------ element-wise functions

// e^x for x ≤ 0 with a relative error of 1e-7, constant below -87. NaN stays NaN.
INLINE float exp_of_negative(float x) {
    x = x < -87.f ? -87.f : x;
    const float shift = 12582912.f;  // adding it rounds to a whole number
    float n = (x * 1.44269504f + shift) - shift;
    float r = x - n * 0.693145752f - n * 1.42860677e-6f;  // ln 2 in two parts
    float sum = 1 / 5040.f;
    sum = sum * r + 1 / 720.f;
    sum = sum * r + 1 / 120.f;
    sum = sum * r + 1 / 24.f;
    sum = sum * r + 1 / 6.f;
    sum = sum * r + 1 / 2.f;
    sum = sum * r + 1;
    sum = sum * r + 1;
    int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return sum * power;
}

// A pseudo-random number for each position and key: a permutation of 32 bits (C. Wellons 2018, "lowbias32").
INLINE uint32_t scramble(uint32_t position, uint32_t key) {
    uint32_t v = position ^ key;
    v = (v ^ v >> 16) * 0x7feb352du;
    v = (v ^ v >> 15) * 0x846ca68bu;
    return v ^ v >> 16;
}

// The factor of a kept feature, or 0 for a dropped one.
INLINE float kept(uint32_t position, uint32_t key, uint32_t n_dropped, float factor) {
    return (scramble(position, key) >> 16) >= n_dropped ? factor : 0.f;
}

// The values of each pixel or image; with a step of 0, all share the same values.
struct Operand {
    const float* values;
    Int step;

    const float* at(Int position) const { return values + position * step; }
};

// ELU of v and of -v.
INLINE void both_elus(float v, float& positive, float& negative) {
    float below = exp_of_negative(v > 0 ? -v : v) - 1;
    positive = v > 0 ? v : below;
    negative = v > 0 ? below : -v;
}

INLINE float both_gradients(float v, float of_positive, float of_negative) {
    float power = exp_of_negative(v > 0 ? -v : v);
    return v > 0 ? of_positive - of_negative * power : of_positive * power - of_negative;
}

INLINE float sigmoid(float v) {
    float power = exp_of_negative(v > 0 ? -v : v);
    return (v > 0 ? 1 : power) / (1 + power);
}

// ------------------------------------------------------------------------------------ interface to Python

// For each pixel, inner = right · x and y = x + inner · left, with a left and a right (rank, size) for each image.
static void mix(const float* x, const float* left, const float* right, float* inner, float* y, Int pixels, Int size,
                Int rank) {
    int channels = size;
    for (Int i = 0; i < pixels; ++i) {
        const float* from = x + i * size;
        float *to = y + i * size, *products = inner + i * rank;
        for (Int r = 0; r < rank; ++r) {
            const float* factors = right + r * size;
            float sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int c = 0; c < channels; ++c) sum += factors[c] * from[c];
            products[r] = sum;
        }
        std::memcpy(to, from, size * sizeof(float));
        for (Int r = 0; r < rank; ++r) {
            const float *factors = left + r * size, product = products[r];
#pragma omp simd
            for (int c = 0; c < channels; ++c) to[c] += product * factors[c];
        }
    }
}

// to (rank, size) = the sum over all pixels of the products of inner (rank) and x (size)
static void products_with(const float* inner, const float* x, float* to, Int pixels, Int size, Int rank) {
    int channels = size;
    std::memset(to, 0, rank * size * sizeof(float));
    for (Int i = 0; i < pixels; ++i)
        for (Int r = 0; r < rank; ++r) {
            float product = inner[i * rank + r], *sums = to + r * size;
#pragma omp simd
            for (int c = 0; c < channels; ++c) sums[c] += product * x[i * size + c];
        }
}

extern "C" {

int gencls_lanes() { return LANES; }
int gencls_block() { return BLOCK; }

void gencls_transform_filters(int k, const float* w, const Int* stride, float* u, Int in, Int out, int threads) {
    (k == 3 ? transform_filters<3> : transform_filters<2>)(w, stride, u, in, out, threads);
}

void gencls_convolve(int k, const float* x, const float* u, const float* bias, float* y, Int number, Int height,
                     Int width, Int in, Int out, Int top, Int left, float* workspace, int threads) {
    Images s{number, height, width};
    (k == 3 ? convolve<3> : convolve<2>)(x, u, bias, y, s, in, out, top, left, workspace, threads);
}

void gencls_filter_gradient(int k, const float* x, const float* dy, float* dw, Int number, Int height, Int width,
                            Int in, Int out, Int top, Int left, float* workspace, int threads) {
    Images s{number, height, width};
    (k == 3 ? filter_gradient<3> : filter_gradient<2>)(x, dy, dw, s, in, out, top, left, workspace, threads);
}

// y = bias + x · w, for w (in, padded(out)); or added to y, without a bias.
void gencls_linear(const float* x, const float* w, const float* bias, float* y, Int pixels, Int in, Int out, int add,
                   float* workspace, int threads) {
    Int wide = padded(out), blocks = (pixels + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int block = 0; block < blocks; ++block) {
        Int first = block * BLOCK, n = at_most(BLOCK, pixels - first);
        float* found = workspace + omp_get_thread_num() * BLOCK * wide;
        product<false>(x + first * in, in, 1, w, wide, found, wide, n, wide, in);
        for (Int i = 0; i < n; ++i) {
            float* to = y + (first + i) * out;
            for (Int c = 0; c < out; ++c)
                to[c] = found[i * wide + c] + (add ? to[c] : bias != nullptr ? bias[c] : 0);
        }
    }
}

// dw (in, padded(out)) = xᵀ · dy
void gencls_linear_gradient(const float* x, const float* dy, float* dw, Int pixels, Int in, Int out, float* workspace,
                            int threads) {
    Int wide = padded(out), blocks = (pixels + BLOCK - 1) / BLOCK, size = in * wide;
    float* sums = workspace + threads * BLOCK * wide;
    std::memset(workspace, 0, threads * (BLOCK * wide + size) * sizeof(float));
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int block = 0; block < blocks; ++block) {
        Int first = block * BLOCK, n = at_most(BLOCK, pixels - first);
        const float* gradients = dy + first * out;
        if (wide > out) {
            float* copied = workspace + omp_get_thread_num() * BLOCK * wide;
            for (Int i = 0; i < n; ++i) std::memcpy(copied + i * wide, gradients + i * out, out * sizeof(float));
            gradients = copied;
        }
        product<true>(x + first * in, 1, in, gradients, wide, sums + omp_get_thread_num() * size, wide, in, wide, n);
    }
#pragma omp parallel for num_threads(threads)
    for (Int i = 0; i < size; ++i) {
        float sum = 0;
        for (int thread = 0; thread < threads; ++thread) sum += sums[thread * size + i];
        dw[i] = sum;
    }
}

// (pixels, channels) to (pixels, 2 · channels)
void gencls_concat_elu(const float* x, float* y, Int pixels, Int size, int threads) {
    int channels = size;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int i = 0; i < pixels; ++i) {
        const float* from = x + i * size;
        float* to = y + 2 * i * size;
#pragma omp simd
        for (int c = 0; c < channels; ++c) both_elus(from[c], to[c], to[channels + c]);
    }
}

void gencls_concat_elu_gradient(const float* x, const float* dy, float* dx, Int pixels, Int size, int threads) {
    int channels = size;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int i = 0; i < pixels; ++i) {
        const float *from = x + i * size, *gradients = dy + 2 * i * size;
        float* to = dx + i * size;
#pragma omp simd
        for (int c = 0; c < channels; ++c) to[c] = both_gradients(from[c], gradients[c], gradients[channels + c]);
    }
}

// Add a low-rank linear map, see `mix` above.
void gencls_mix(const float* x, const float* left, const float* right, float* inner, float* y, Int images, Int pixels,
                Int size, Int rank, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int image = 0; image < images; ++image) {
        Int features = image * pixels * size, products = image * pixels * rank, factors = image * rank * size;
        mix(x + features, left + factors, right + factors, inner + products, y + features, pixels, size, rank);
    }
}

// Gradients propagate in reverse: through left to `dinner`, then through right.
void gencls_mix_gradient(const float* x, const float* left, const float* right, const float* inner, const float* dy,
                         float* dinner, float* dx, float* dleft, float* dright, Int images, Int pixels, Int size,
                         Int rank, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int image = 0; image < images; ++image) {
        Int features = image * pixels * size, products = image * pixels * rank, factors = image * rank * size;
        mix(dy + features, right + factors, left + factors, dinner + products, dx + features, pixels, size, rank);
        products_with(inner + products, dy + features, dleft + factors, pixels, size, rank);
        products_with(dinner + products, x + features, dright + factors, pixels, size, rank);
    }
}

// Dropout of the concat-ELU of scale · hidden + shift + added, where all pixels of an image share scale and shift.
// Images i and i + different share their dropped features.
void gencls_activate(const float* hidden, const float* scale, Int scale_step, const float* shift, Int shift_step,
                     const float* added, Int added_step, float* y, Int images, Int pixels, Int size, Int different,
                     uint32_t n_dropped, float factor, uint32_t key, int threads) {
    Operand scales{scale, scale_step}, shifts{shift, shift_step}, others{added, added_step};
    int channels = size;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int pixel = 0; pixel < images * pixels; ++pixel) {
        const float *from = hidden + pixel * size, *other = others.at(pixel);
        const float *times = scales.at(pixel / pixels), *plus = shifts.at(pixel / pixels);
        float* to = y + 2 * pixel * size;
#pragma omp simd
        for (int c = 0; c < channels; ++c)
            both_elus(from[c] * times[c] + plus[c] + other[c], to[c], to[channels + c]);
        uint32_t position = pixel % (different * pixels) * 2 * size;
        if (n_dropped > 0)
#pragma omp simd
            for (int c = 0; c < 2 * channels; ++c) to[c] *= kept(position + c, key, n_dropped, factor);
    }
}

// `dv` is the gradient of the input of the activation, hence of `added`; those of scale and shift may be null.
void gencls_activate_gradient(const float* hidden, const float* scale, Int scale_step, const float* shift,
                              Int shift_step, const float* added, Int added_step, const float* dy, float* dv,
                              float* dhidden, float* dscale, float* dshift, Int images, Int pixels, Int size,
                              Int different, uint32_t n_dropped, float factor, uint32_t key, int threads) {
    Operand scales{scale, scale_step}, shifts{shift, shift_step}, others{added, added_step};
    int channels = size;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int image = 0; image < images; ++image) {
        const float *times = scales.at(image), *plus = shifts.at(image);
        for (Int pixel = image * pixels; pixel < (image + 1) * pixels; ++pixel) {
            const float *from = hidden + pixel * size, *other = others.at(pixel), *gradients = dy + 2 * pixel * size;
            float* to = dv + pixel * size;
            uint32_t position = pixel % (different * pixels) * 2 * size;
            if (n_dropped > 0) {
#pragma omp simd
                for (int c = 0; c < channels; ++c)
                    to[c] = both_gradients(from[c] * times[c] + plus[c] + other[c],
                                           gradients[c] * kept(position + c, key, n_dropped, factor),
                                           gradients[channels + c] * kept(position + channels + c, key, n_dropped, factor));
            } else {
#pragma omp simd
                for (int c = 0; c < channels; ++c)
                    to[c] = both_gradients(from[c] * times[c] + plus[c] + other[c], gradients[c],
                                           gradients[channels + c]);
            }
            if (dshift != nullptr)
#pragma omp simd
                for (int c = 0; c < channels; ++c) dshift[image * size + c] += to[c];
            if (dscale != nullptr)
#pragma omp simd
                for (int c = 0; c < channels; ++c) {
                    dscale[image * size + c] += to[c] * from[c];
                    dhidden[pixel * size + c] = to[c] * times[c];
                }
        }
    }
}

// y = x + v · σ(g), with (v, g) = scale · hidden + shift
void gencls_gate(const float* x, Int x_step, const float* hidden, const float* scale, Int scale_step,
                 const float* shift, Int shift_step, float* y, Int images, Int pixels, Int size, int threads) {
    Operand scales{scale, scale_step}, shifts{shift, shift_step}, inputs{x, x_step};
    int channels = size;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int pixel = 0; pixel < images * pixels; ++pixel) {
        const float *from = hidden + 2 * pixel * size, *before = inputs.at(pixel);
        const float *times = scales.at(pixel / pixels), *plus = shifts.at(pixel / pixels);
        float* to = y + pixel * size;
#pragma omp simd
        for (int c = 0; c < channels; ++c) {
            float gate = from[channels + c] * times[channels + c] + plus[channels + c];
            to[c] = before[c] + (from[c] * times[c] + plus[c]) * sigmoid(gate);
        }
    }
}

void gencls_gate_gradient(const float* hidden, const float* scale, Int scale_step, const float* shift, Int shift_step,
                          const float* dy, float* dhidden, float* dscale, float* dshift, Int images, Int pixels,
                          Int size, int threads) {
    Operand scales{scale, scale_step}, shifts{shift, shift_step};
    int channels = size;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int image = 0; image < images; ++image) {
        const float *times = scales.at(image), *plus = shifts.at(image);
        for (Int pixel = image * pixels; pixel < (image + 1) * pixels; ++pixel) {
            const float *from = hidden + 2 * pixel * size, *gradients = dy + pixel * size;
            float* to = dhidden + 2 * pixel * size;
#pragma omp simd
            for (int c = 0; c < channels; ++c) {
                float value = from[c] * times[c] + plus[c];
                float open = sigmoid(from[channels + c] * times[channels + c] + plus[channels + c]);
                to[c] = gradients[c] * open;
                to[channels + c] = gradients[c] * open * value * (1 - open);
            }
            if (dshift != nullptr)
#pragma omp simd
                for (int c = 0; c < 2 * channels; ++c) dshift[2 * image * size + c] += to[c];
            if (dscale != nullptr)
#pragma omp simd
                for (int c = 0; c < 2 * channels; ++c) {
                    dscale[2 * image * size + c] += to[c] * from[c];
                    to[c] *= times[c];
                }
        }
    }
}

}  // extern "C"
