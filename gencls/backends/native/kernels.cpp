// The most expensive operations of a network on a CPU, in float32. Features have the memory layout (images, rows,
// columns, channels). The file is compiled at its first use, see `__init__.py`.
//
// The shifted convolutions use minimal filtering (S. Winograd 1980; A. Lavin and S. Gray 2016, "Fast Algorithms
// for Convolutional Neural Networks"). For a tile of 4×4 outputs, the inputs, the filter and the result are
// transformed, so that their product needs one multiplication for each of P = 25 or 30 points instead of 64 or 96.
// The product over the channels is a matrix product, which dominates the run time.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

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
INLINE Int parts_of(Int items, Int most) { return (items + most - 1) / most; }
INLINE Int padded(Int channels) { return parts_of(channels, LANES) * LANES; }

// The first values, where fewer than LANES exist.
INLINE Vector load_some(const float* from, Int number) {
    Vector values{};
    std::memcpy(&values, from, number * sizeof(float));
    return values;
}
INLINE void store_some(float* to, const Vector& values, Int number) { std::memcpy(to, &values, number * sizeof(float)); }

// Where the vector of these channels begins: the last one overlaps the one before, so that none is incomplete.
INLINE Int within(Int channel, Int channels) { return at_most(channel, channels - LANES); }

// Memory that a thread keeps for its next call. The system clears each page of new memory, which would take longer
// than a convolution of small images.
enum Purpose { FILTERS, SCRATCH, SUMS, ONES, ZEROS, NOTHING };

template <Purpose> static float* memory(Int size) {
    struct Kept {
        void* start = nullptr;
        Int size = 0;
        ~Kept() { std::free(start); }
    };
    constexpr Int LINE = 64;  // bytes; vectors across two lines of the cache are slow
    static thread_local Kept kept;
    if (kept.size < size) {
        std::free(kept.start);
        kept.start = std::malloc(size * sizeof(float) + LINE);
        if (kept.start == nullptr) throw std::bad_alloc();
        kept.size = size;
    }
    return reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(kept.start) + LINE - 1) / LINE * LINE);
}

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

// y(row, column) = Σ x(row - top + a, column - left + b) · w(a, b) for 2 rows a and K columns b of the filters.
struct Shape {
    Int number, height, width, in, out, top, left;

    Int pixels() const { return height * width; }
    Int down() const { return parts_of(height, TILE); }
    Int across() const { return parts_of(width, TILE); }
    Int tiles() const { return number * down() * across(); }
    Int blocks() const { return parts_of(tiles(), BLOCK); }
    Int wide() const { return padded(out); }
    bool contains(Int row, Int column) const { return row >= 0 && row < height && column >= 0 && column < width; }
};

template <int K> struct Points { static constexpr int N = Filtering<2>::N * Filtering<K>::N; };

// Whether sums over the filters need at most as many multiplications as minimal filtering: for tiny images, where most
// of a tile is empty.
template <int K> static bool is_tiny(const Shape& s) {
    Int rows = 0, columns = 0;  // pairs of an output and an input inside the image
    for (Int a = 0; a < 2; ++a) rows += s.height - (a > s.top ? a - s.top : s.top - a);
    for (Int b = 0; b < K; ++b) {
        Int shift = b > s.left ? b - s.left : s.left - b;
        columns += s.width > shift ? s.width - shift : 0;
    }
    return rows * columns <= s.down() * s.across() * Points<K>::N;
}

struct Tile {
    Int image, row, column;

    Tile(const Shape& s, Int number)
        : image(number / (s.down() * s.across())),
          row(number / s.across() % s.down() * TILE),
          column(number % s.across() * TILE) {}
};

// Transform a patch of pixels whose upper left corner is (row, column); pixels outside the image are zero.
template <class Left, class Right, int RI, int CI, int RO, int CO>
INLINE void transform_patch(const float* x, const Shape& s, Int channels, Int image, Int row, Int column,
                            const float* zeros, float* to, Int apart) {
    const float* pixels[RI][CI];
    for (int i = 0; i < RI; ++i)
        for (int j = 0; j < CI; ++j) {
            Int r = row + i, c = column + j;
            pixels[i][j] = s.contains(r, c) ? x + ((image * s.height + r) * s.width + c) * channels : zeros;
        }
    Vector from[RI][CI], found[RO][CO];
    if (channels < LANES) {
        for (int i = 0; i < RI; ++i)
            for (int j = 0; j < CI; ++j) from[i][j] = load_some(pixels[i][j], channels);
        transform<Left, Right>(from, found);
        for (int i = 0; i < RO; ++i)
            for (int j = 0; j < CO; ++j) store_some(to + (i * CO + j) * apart, found[i][j], channels);
        return;
    }
    for (Int channel = 0; channel < channels; channel += LANES) {
        Int c = within(channel, channels);
        UNROLL for (int i = 0; i < RI; ++i)
            UNROLL for (int j = 0; j < CI; ++j) from[i][j] = load(pixels[i][j] + c);
        transform<Left, Right>(from, found);
        UNROLL for (int i = 0; i < RO; ++i)
            UNROLL for (int j = 0; j < CO; ++j) store(to + (i * CO + j) * apart + c, found[i][j]);
    }
}

template <int K>
INLINE void transform_input(const float* x, const Shape& s, const Tile& tile, const float* zeros, float* to) {
    using Down = Filtering<2>;
    using Across = Filtering<K>;
    transform_patch<Input<Down>, Input<Across>, Down::N, Across::N, Down::N, Across::N>(
        x, s, s.in, tile.image, tile.row - s.top, tile.column - s.left, zeros, to, BLOCK * s.in);
}

// Apply the inverse transform to the products of a tile, and write the pixels inside the image.
template <int K>
INLINE void write_tile(const float* products, const float* bias, float* y, const Shape& s, const Tile& tile) {
    using Down = Filtering<2>;
    using Across = Filtering<K>;
    Int rows = at_most(TILE, s.height - tile.row), columns = at_most(TILE, s.width - tile.column);
    float* to = y + ((tile.image * s.height + tile.row) * s.width + tile.column) * s.out;
    for (Int channel = 0; channel < s.out; channel += LANES) {  // the channels of the products are padded
        bool few = s.out < LANES;
        Int c = few ? 0 : within(channel, s.out);
        Vector from[Down::N][Across::N], found[TILE][TILE], added{};
        if (bias != nullptr) added = few ? load_some(bias, s.out) : load(bias + c);
        UNROLL for (int i = 0; i < Down::N; ++i)
            UNROLL for (int j = 0; j < Across::N; ++j)
                from[i][j] = load(products + (i * Across::N + j) * BLOCK * s.wide() + c);
        transform<Output<Down>, Output<Across>>(from, found);
        for (Int i = 0; i < rows; ++i)
            for (Int j = 0; j < columns; ++j) {
                float* pixel = to + (i * s.width + j) * s.out + c;
                if (few) store_some(pixel, found[i][j] + added, s.out);
                else store(pixel, found[i][j] + added);
            }
    }
}

// The filters w (out, in, 2, K) with the outputs last: (2, K, in, wide), or transformed, (points, in, wide). Filters of
// the gradient of the input are reversed, and w is (in, out, 2, K).
template <int K, bool TRANSFORMED>
static void arrange_filters(const float* w, float* to, const Shape& s, bool reversed, int threads) {
    using Down = Filtering<2>;
    using Across = Filtering<K>;
    constexpr Int TAPS = 2 * K;
    Int of_in = reversed ? s.out * TAPS : TAPS, of_out = reversed ? TAPS : s.in * TAPS;
    Int wide = s.wide(), apart = s.in * wide;
#pragma omp parallel for collapse(2) num_threads(threads)
    for (Int o = 0; o < wide; o += LANES)
        for (Int i = 0; i < s.in; ++i) {
            Vector filters[2][K]{}, found[Down::N][Across::N];
            const float* from = w + o * of_out + i * of_in;
            for (Int lane = 0; lane < at_most(LANES, s.out - o); ++lane)
                UNROLL for (int t = 0; t < TAPS; ++t) {
                    int tap = reversed ? TAPS - 1 - t : t;
                    filters[tap / K][tap % K][lane] = from[lane * of_out + t];
                }
            float* first = to + i * wide + o;
            if (TRANSFORMED) {
                transform<Filter<Down>, Filter<Across>>(filters, found);
                UNROLL for (int a = 0; a < Down::N; ++a)
                    UNROLL for (int b = 0; b < Across::N; ++b) store(first + (a * Across::N + b) * apart, found[a][b]);
            } else {
                for (int a = 0; a < 2; ++a)
                    for (int b = 0; b < K; ++b) store(first + (a * K + b) * apart, filters[a][b]);
            }
        }
}

template <int K>
static void convolve_minimally(const float* x, const float* w, bool reversed, const float* bias, float* y,
                               const Shape& s, int threads) {
    constexpr int P = Points<K>::N;
    Int in = s.in, wide = s.wide();
    float* u = memory<FILTERS>(P * in * wide);
    arrange_filters<K, true>(w, u, s, reversed, threads);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (Int block = 0; block < s.blocks(); ++block) {
        Int first = block * BLOCK, n = at_most(BLOCK, s.tiles() - first);
        float* products = memory<SCRATCH>(P * BLOCK * (wide + in) + in);
        float *inputs = products + P * BLOCK * wide, *zeros = inputs + P * BLOCK * in;
        std::memset(zeros, 0, in * sizeof(float));
        for (Int t = 0; t < n; ++t) transform_input<K>(x, s, Tile(s, first + t), zeros, inputs + t * in);
        for (int p = 0; p < P; ++p)
            product<false>(inputs + p * BLOCK * in, in, 1, u + p * in * wide, wide, products + p * BLOCK * wide, wide,
                           n, wide, in);
        for (Int t = 0; t < n; ++t) write_tile<K>(products + t * wide, bias, y, s, Tile(s, first + t));
    }
}

// Sum over the filters; each product is one position in all images of a block.
template <int K>
static void convolve_directly(const float* x, const float* w, bool reversed, const float* bias, float* y,
                              const Shape& s, int threads) {
    Int in = s.in, out = s.out, wide = s.wide(), pixels = s.pixels(), blocks = parts_of(s.number, BLOCK);
    float* filters = memory<FILTERS>(2 * K * in * wide);
    arrange_filters<K, false>(w, filters, s, reversed, threads);
#pragma omp parallel for collapse(2) num_threads(threads)
    for (Int block = 0; block < blocks; ++block)
        for (Int pixel = 0; pixel < pixels; ++pixel) {
            Int first = block * BLOCK, n = at_most(BLOCK, s.number - first);
            float* sums = memory<SCRATCH>(BLOCK * wide);
            bool begun = false;
            for (Int tap = 0; tap < 2 * K; ++tap) {
                Int row = pixel / s.width - s.top + tap / K, column = pixel % s.width - s.left + tap % K;
                if (!s.contains(row, column)) continue;
                (begun ? product<true> : product<false>)(x + (first * pixels + row * s.width + column) * in,
                                                         pixels * in, 1, filters + tap * in * wide, wide, sums, wide, n,
                                                         wide, in);
                begun = true;
            }
            for (Int i = 0; i < n; ++i) {
                float* to = y + ((first + i) * pixels + pixel) * out;
                for (Int c = 0; c < out; ++c) to[c] = sums[i * wide + c] + (bias != nullptr ? bias[c] : 0);
            }
        }
}

template <int K>
static void convolve(const float* x, const float* w, bool reversed, const float* bias, float* y, const Shape& s,
                     int threads) {
    (is_tiny<K>(s) ? convolve_directly<K> : convolve_minimally<K>)(x, w, reversed, bias, y, s, threads);
}

// Write filters of a vector of outputs from o to dw (out, in, 2, K).
template <int K>
INLINE void write_filters(const Vector (&found)[2][K], float* dw, const Shape& s, Int i, Int o) {
    for (Int lane = 0; lane < at_most(LANES, s.out - o); ++lane) {
        float* to = dw + ((o + lane) * s.in + i) * 2 * K;
        UNROLL for (int t = 0; t < 2 * K; ++t) to[t] = found[t / K][t % K][lane];
    }
}

// Each part of the blocks has sums of its own, which are added at the end.
template <int K>
static void filter_gradient_minimally(const float* x, const float* dy, float* dw, const Shape& s, int threads) {
    using Down = Filtering<2>;
    using Across = Filtering<K>;
    constexpr int P = Points<K>::N;
    Int in = s.in, wide = s.wide(), size = P * in * wide, parts = at_most(threads, s.blocks());
    float* sums = memory<SUMS>(parts * size);
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (Int part = 0; part < parts; ++part) {
        float* outputs = memory<SCRATCH>(P * BLOCK * (wide + in) + in + wide);
        float *inputs = outputs + P * BLOCK * wide, *zeros = inputs + P * BLOCK * in;
        std::memset(zeros, 0, (in + wide) * sizeof(float));
        for (Int block = part; block < s.blocks(); block += parts) {
            Int first = block * BLOCK, n = at_most(BLOCK, s.tiles() - first);
            for (Int t = 0; t < n; ++t) {
                Tile tile(s, first + t);
                transform_input<K>(x, s, tile, zeros, inputs + t * in);
                transform_patch<OutputT<Down>, OutputT<Across>, TILE, TILE, Down::N, Across::N>(
                    dy, s, s.out, tile.image, tile.row, tile.column, zeros, outputs + t * wide, BLOCK * wide);
            }
            for (int p = 0; p < P; ++p)
                (block == part ? product<false> : product<true>)(inputs + p * BLOCK * in, 1, in,
                                                                 outputs + p * BLOCK * wide, wide,
                                                                 sums + part * size + p * in * wide, wide, in, wide, n);
        }
    }
#pragma omp parallel for collapse(2) num_threads(threads)
    for (Int o = 0; o < wide; o += LANES)
        for (Int i = 0; i < in; ++i) {
            Vector from[Down::N][Across::N]{}, found[2][K];
            for (Int part = 0; part < parts; ++part)
                UNROLL for (int a = 0; a < Down::N; ++a)
                    UNROLL for (int b = 0; b < Across::N; ++b)
                        from[a][b] += load(sums + part * size + ((a * Across::N + b) * in + i) * wide + o);
            transform<FilterT<Down>, FilterT<Across>>(from, found);
            write_filters<K>(found, dw, s, i, o);
        }
}

template <int K>
static void filter_gradient_directly(const float* x, const float* dy, float* dw, const Shape& s, int threads) {
    Int in = s.in, wide = s.wide(), pixels = s.pixels(), size = in * wide;
    float *sums = memory<SUMS>(2 * K * size), *gradients = memory<SCRATCH>(s.number * pixels * wide);
    for (Int i = 0; i < s.number * pixels; ++i)  // `product` reads whole vectors
        std::memcpy(gradients + i * wide, dy + i * s.out, s.out * sizeof(float));
#pragma omp parallel for num_threads(threads)
    for (Int tap = 0; tap < 2 * K; ++tap) {
        bool begun = false;
        for (Int pixel = 0; pixel < pixels; ++pixel) {
            Int row = pixel / s.width - s.top + tap / K, column = pixel % s.width - s.left + tap % K;
            if (!s.contains(row, column)) continue;
            (begun ? product<true> : product<false>)(x + (row * s.width + column) * in, 1, pixels * in,
                                                     gradients + pixel * wide, pixels * wide, sums + tap * size, wide,
                                                     in, wide, s.number);
            begun = true;
        }
        if (!begun) std::memset(sums + tap * size, 0, size * sizeof(float));
    }
#pragma omp parallel for collapse(2) num_threads(threads)
    for (Int o = 0; o < wide; o += LANES)
        for (Int i = 0; i < in; ++i) {
            Vector found[2][K];
            for (int t = 0; t < 2 * K; ++t) found[t / K][t % K] = load(sums + t * size + i * wide + o);
            write_filters<K>(found, dw, s, i, o);
        }
}

template <int K>
static void filter_gradient(const float* x, const float* dy, float* dw, const Shape& s, int threads) {
    (is_tiny<K>(s) ? filter_gradient_directly<K> : filter_gradient_minimally<K>)(x, dy, dw, s, threads);
}

// to = the sum over images and pixels; first over the pixels of each image, for accuracy.
static void sum_of_pixels(const float* dy, float* to, Int images, Int pixels, Int channels) {
    float* sums = memory<SUMS>(channels);
    std::memset(to, 0, channels * sizeof(float));
    for (Int image = 0; image < images; ++image) {
        std::memset(sums, 0, channels * sizeof(float));
        for (Int i = 0; i < pixels; ++i, dy += channels)
            for (Int c = 0; c < channels; ++c) sums[c] += dy[c];
        for (Int c = 0; c < channels; ++c) to[c] += sums[c];
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

// The values of each pixel or image. Null pointers mean a constant, which all pixels share.
struct Operand {
    const float* values;
    Int step;

    const float* at(Int position) const { return values + position * step; }
};

template <Purpose PURPOSE> static Operand operand(const float* values, Int channels, float otherwise) {
    if (values != nullptr) return {values, channels};
    float* constants = memory<PURPOSE>(channels);
    for (Int c = 0; c < channels; ++c) constants[c] = otherwise;
    return {constants, 0};
}

struct ScaleAndShift {
    Operand scales, shifts;

    ScaleAndShift(const float* scale, const float* shift, Int channels)
        : scales(operand<ONES>(scale, channels, 1)), shifts(operand<ZEROS>(shift, channels, 0)) {}
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

// For each pixel, inner = right · x and y = x + inner · left, where y may be x, with a left and a right (rank, size) for
// each image.
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
        if (to != from) std::memcpy(to, from, size * sizeof(float));
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

// ------------------------------------------------------------------------------ gated residual block, operands

// Pointers in the order of `Operands` and `Kept` in block.py; Float is const for operands, not for their gradients.
template <class Float> struct BlockOf {
    Float *features, *activated;
    Float *first, *first_bias, *second, *second_bias;
    Float *scale, *shift, *left, *right;                              // the modulation after the first convolution
    Float *second_scale, *second_shift, *second_left, *second_right;  // and after the second one
    Float *shortcut_bias, *shortcut_weights[2], *shortcuts[2];
};
typedef BlockOf<const float> Block;
typedef BlockOf<float> BlockGradients;

struct Kept {
    float *hidden, *mixed, *inner, *added, *dropped, *second_hidden, *second_mixed, *second_inner, *out, *activated;
};

struct BlockSizes {
    Int images, height, width, size, columns, left, rank, second_rank, different, n_dropped, key;
    Int shortcut_images[2];  // fewer than `images` if several groups of images share a shortcut

    Int pixels() const { return height * width; }
    Int all() const { return images * pixels(); }
};

// Write the features of one group to all groups, or add them.
static void spread(const float* x, float* y, Int group, Int all, bool add) {
    for (Int first = 0; first < all; first += group)
        for (Int i = 0; i < group; ++i) y[first + i] = x[i] + (add ? y[first + i] : 0);
}

static void sum_of_groups(const float* x, float* y, Int group, Int all) {
    std::memcpy(y, x, group * sizeof(float));
    for (Int first = group; first < all; first += group)
        for (Int i = 0; i < group; ++i) y[i] += x[first + i];
}

// All whole numbers have 64 bits; Python passes pointers, whole numbers and floats.
extern "C" {

// y (number, height, width, out) from x (number, height, width, in), w (out, in, 2, k) and bias (out)
void gencls_convolve(const float* x, const float* w, const float* bias, float* y, Int number, Int height, Int width,
                     Int in, Int out, Int k, Int left, Int threads) {
    Shape s{number, height, width, in, out, 1, left};
    (k == 3 ? convolve<3> : convolve<2>)(x, w, false, bias, y, s, threads);
}

// Gradients of x, w and bias; each may be null.
void gencls_convolve_gradient(const float* x, const float* w, const float* dy, float* dx, float* dw, float* dbias,
                              Int number, Int height, Int width, Int in, Int out, Int k, Int left, Int threads) {
    Shape s{number, height, width, in, out, 1, left}, back{number, height, width, out, in, 0, k - 1 - left};
    if (dx != nullptr) (k == 3 ? convolve<3> : convolve<2>)(dy, w, true, nullptr, dx, back, threads);
    if (dw != nullptr) (k == 3 ? filter_gradient<3> : filter_gradient<2>)(x, dy, dw, s, threads);
    if (dbias != nullptr) sum_of_pixels(dy, dbias, number, height * width, out);
}

// y = bias + x · wᵀ for w (out, in) with these strides; or added to y, without a bias
void gencls_linear(const float* x, const float* w, Int of_out, Int of_in, const float* bias, float* y, Int pixels,
                   Int in, Int out, Int add, Int threads) {
    Int wide = padded(out);
    float* matrix = memory<FILTERS>(in * wide);
    for (Int i = 0; i < in; ++i)
        for (Int o = 0; o < wide; ++o) matrix[i * wide + o] = o < out ? w[o * of_out + i * of_in] : 0;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int block = 0; block < parts_of(pixels, BLOCK); ++block) {
        Int first = block * BLOCK, n = at_most(BLOCK, pixels - first);
        float* found = memory<SCRATCH>(BLOCK * wide);
        product<false>(x + first * in, in, 1, matrix, wide, found, wide, n, wide, in);
        for (Int i = 0; i < n; ++i) {
            float* to = y + (first + i) * out;
            for (Int c = 0; c < out; ++c)
                to[c] = found[i * wide + c] + (add ? to[c] : bias != nullptr ? bias[c] : 0);
        }
    }
}

// dw (out, in) = dyᵀ · x
void gencls_linear_gradient(const float* x, const float* dy, float* dw, Int pixels, Int in, Int out, Int threads) {
    Int wide = padded(out), blocks = parts_of(pixels, BLOCK), size = in * wide, parts = at_most(threads, blocks);
    float* sums = memory<SUMS>(parts * size);
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (Int part = 0; part < parts; ++part)
        for (Int block = part; block < blocks; block += parts) {
            Int first = block * BLOCK, n = at_most(BLOCK, pixels - first);
            const float* gradients = dy + first * out;
            if (wide > out) {  // `product` reads whole vectors
                float* copied = memory<SCRATCH>(BLOCK * wide);
                for (Int i = 0; i < n; ++i) std::memcpy(copied + i * wide, gradients + i * out, out * sizeof(float));
                gradients = copied;
            }
            (block == part ? product<false> : product<true>)(x + first * in, 1, in, gradients, wide,
                                                             sums + part * size, wide, in, wide, n);
        }
    for (Int i = 0; i < in; ++i)
        for (Int o = 0; o < out; ++o) {
            float sum = 0;
            for (Int part = 0; part < parts; ++part) sum += sums[part * size + i * wide + o];
            dw[o * in + i] = sum;
        }
}

// w = gain · v / ‖v‖ for each output of v (out, size)
void gencls_normalise(const float* v, const float* gain, float* w, float* norms, Int out, Int size, Int threads) {
#pragma omp parallel for num_threads(threads)
    for (Int o = 0; o < out; ++o) {
        const float* from = v + o * size;
        float squares = 0, *to = w + o * size;
#pragma omp simd reduction(+ : squares)
        for (Int i = 0; i < size; ++i) squares += from[i] * from[i];
        norms[o] = std::sqrt(squares);
        float factor = gain[o] / norms[o];
        for (Int i = 0; i < size; ++i) to[i] = factor * from[i];
    }
}

void gencls_normalise_gradient(const float* v, const float* gain, const float* norms, const float* dw, float* dv,
                               float* dgain, Int out, Int size, Int threads) {
#pragma omp parallel for num_threads(threads)
    for (Int o = 0; o < out; ++o) {
        const float *from = v + o * size, *gradients = dw + o * size;
        float product = 0, *to = dv + o * size;
#pragma omp simd reduction(+ : product)
        for (Int i = 0; i < size; ++i) product += from[i] * gradients[i];
        dgain[o] = product / norms[o];
        float factor = gain[o] / norms[o], along = product / norms[o] / norms[o];
        for (Int i = 0; i < size; ++i) to[i] = factor * (gradients[i] - along * from[i]);
    }
}

// (pixels, channels) to (pixels, 2 · channels)
void gencls_concat_elu(const float* x, float* y, Int pixels, Int size, Int threads) {
    int channels = size;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int i = 0; i < pixels; ++i) {
        const float* from = x + i * size;
        float* to = y + 2 * i * size;
#pragma omp simd
        for (int c = 0; c < channels; ++c) both_elus(from[c], to[c], to[channels + c]);
    }
}

void gencls_concat_elu_gradient(const float* x, const float* dy, float* dx, Int pixels, Int size, Int threads) {
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
                Int size, Int rank, Int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int image = 0; image < images; ++image) {
        Int features = image * pixels * size, products = image * pixels * rank, factors = image * rank * size;
        mix(x + features, left + factors, right + factors, inner + products, y + features, pixels, size, rank);
    }
}

// Gradients propagate in reverse: through left to `dinner`, then through right.
void gencls_mix_gradient(const float* x, const float* left, const float* right, const float* inner, const float* dy,
                         float* dinner, float* dx, float* dleft, float* dright, Int images, Int pixels, Int size,
                         Int rank, Int threads) {
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
void gencls_activate(const float* hidden, const float* scale, const float* shift, const float* added, float* y,
                     Int images, Int pixels, Int size, Int different,
                     Int n_dropped, float factor, Int key, Int threads) {
    ScaleAndShift both(scale, shift, size);
    Operand others = operand<NOTHING>(added, size, 0);
    int channels = size;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int pixel = 0; pixel < images * pixels; ++pixel) {
        const float *from = hidden + pixel * size, *other = others.at(pixel);
        const float *times = both.scales.at(pixel / pixels), *plus = both.shifts.at(pixel / pixels);
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
// Without a scale, the gradient of hidden is `dv`.
void gencls_activate_gradient(const float* hidden, const float* scale, const float* shift, const float* added,
                              const float* dy, float* dv, float* dhidden, float* dscale, float* dshift,
                              Int images, Int pixels, Int size,
                              Int different, Int n_dropped, float factor, Int key, Int threads) {
    ScaleAndShift both(scale, shift, size);
    Operand others = operand<NOTHING>(added, size, 0);
    int channels = size;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int image = 0; image < images; ++image) {
        const float *times = both.scales.at(image), *plus = both.shifts.at(image);
        if (dshift != nullptr) std::memset(dshift + image * size, 0, size * sizeof(float));
        if (dscale != nullptr) std::memset(dscale + image * size, 0, size * sizeof(float));
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
void gencls_gate(const float* x, const float* hidden, const float* scale, const float* shift, float* y, Int images,
                 Int pixels, Int size, Int threads) {
    ScaleAndShift both(scale, shift, 2 * size);
    Operand inputs = operand<NOTHING>(x, size, 0);
    int channels = size;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int pixel = 0; pixel < images * pixels; ++pixel) {
        const float *from = hidden + 2 * pixel * size, *before = inputs.at(pixel);
        const float *times = both.scales.at(pixel / pixels), *plus = both.shifts.at(pixel / pixels);
        float* to = y + pixel * size;
#pragma omp simd
        for (int c = 0; c < channels; ++c) {
            float gate = from[channels + c] * times[channels + c] + plus[channels + c];
            to[c] = before[c] + (from[c] * times[c] + plus[c]) * sigmoid(gate);
        }
    }
}

void gencls_gate_gradient(const float* hidden, const float* scale, const float* shift, const float* dy,
                          float* dhidden, float* dscale, float* dshift, Int images, Int pixels,
                          Int size, Int threads) {
    ScaleAndShift both(scale, shift, 2 * size);
    int channels = size;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int image = 0; image < images; ++image) {
        const float *times = both.scales.at(image), *plus = both.shifts.at(image);
        if (dshift != nullptr) std::memset(dshift + 2 * image * size, 0, 2 * size * sizeof(float));
        if (dscale != nullptr) std::memset(dscale + 2 * image * size, 0, 2 * size * sizeof(float));
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

// ------------------------------------------------------------------------------ gated residual block

void gencls_block(const Block* b, const Kept* kept, const BlockSizes* s, float factor, Int threads) {
    Int size = s->size, all = s->all(), pixels = s->pixels();
    gencls_convolve(b->activated, b->first, b->first_bias, kept->hidden, s->images, s->height, s->width, 2 * size,
                    size, s->columns, s->left, threads);
    if (b->left != nullptr)
        gencls_mix(kept->hidden, b->left, b->right, kept->inner, kept->mixed, s->images, pixels, size, s->rank,
                   threads);
    for (int part = 0; part < 2; ++part)
        if (b->shortcut_weights[part] != nullptr) {
            Int shared = s->shortcut_images[part] * pixels;
            float* joined = shared < all ? kept->dropped : kept->added;  // the former is not needed yet
            const float* bias = part > 0 ? nullptr : b->shortcut_bias;
            gencls_linear(b->shortcuts[part], b->shortcut_weights[part], 2 * size, 1, bias, joined, shared,
                          2 * size, size, part > 0 && shared == all, threads);
            if (shared < all) spread(joined, kept->added, shared * size, all * size, part > 0);
        }
    gencls_activate(kept->mixed, b->scale, b->shift, kept->added, kept->dropped, s->images, pixels, size,
                    s->different, s->n_dropped, factor, s->key, threads);
    gencls_convolve(kept->dropped, b->second, b->second_bias, kept->second_hidden, s->images, s->height, s->width,
                    2 * size, 2 * size, s->columns, s->left, threads);
    if (b->second_left != nullptr)
        gencls_mix(kept->second_hidden, b->second_left, b->second_right, kept->second_inner, kept->second_mixed,
                   s->images, pixels, 2 * size, s->second_rank, threads);
    gencls_gate(b->features, kept->second_mixed, b->second_scale, b->second_shift, kept->out, s->images, pixels, size,
                threads);
    gencls_concat_elu(kept->out, kept->activated, all, size, threads);
}

// `dout` and `dactivated` are the gradients of the two results; one may be null.
// The workspace has (4 · size + the larger rank) floats a pixel.
void gencls_block_gradient(const Block* b, const Kept* kept, const BlockSizes* s, float factor, const float* dout,
                           const float* dactivated, const BlockGradients* to, float* workspace, Int threads) {
    Int size = s->size, all = s->all(), pixels = s->pixels();
    float *from = workspace, *found = from + 2 * all * size, *inner = found + 2 * all * size;
    if (dactivated != nullptr) gencls_concat_elu_gradient(kept->out, dactivated, to->features, all, size, threads);
    else std::memset(to->features, 0, all * size * sizeof(float));
    if (dout != nullptr)
        for (Int i = 0; i < all * size; ++i) to->features[i] += dout[i];

    gencls_gate_gradient(kept->second_mixed, b->second_scale, b->second_shift, to->features, from, to->second_scale,
                         to->second_shift, s->images, pixels, size, threads);
    if (b->second_left != nullptr) {
        gencls_mix_gradient(kept->second_hidden, b->second_left, b->second_right, kept->second_inner, from, inner,
                            found, to->second_left, to->second_right, s->images, pixels, 2 * size, s->second_rank,
                            threads);
        std::swap(from, found);
    }
    gencls_convolve_gradient(kept->dropped, b->second, from, found, to->second, to->second_bias, s->images, s->height,
                             s->width, 2 * size, 2 * size, s->columns, s->left, threads);
    std::swap(from, found);

    float *added = found, *hidden = b->scale == nullptr ? added : found + all * size;
    gencls_activate_gradient(kept->mixed, b->scale, b->shift, kept->added, from, added, hidden, to->scale, to->shift,
                             s->images, pixels, size, s->different, s->n_dropped, factor, s->key, threads);
    for (int part = 0; part < 2; ++part)
        if (b->shortcut_weights[part] != nullptr) {
            Int shared = s->shortcut_images[part] * pixels;
            float* joined = shared < all ? from : added;
            if (shared < all) sum_of_groups(added, joined, shared * size, all * size);
            gencls_linear_gradient(b->shortcuts[part], joined, to->shortcut_weights[part], shared, 2 * size, size,
                                   threads);
            gencls_linear(joined, b->shortcut_weights[part], 1, 2 * size, nullptr, to->shortcuts[part], shared, size,
                          2 * size, false, threads);
        }
    if (b->shortcut_bias != nullptr) sum_of_pixels(added, to->shortcut_bias, s->images, pixels, size);
    if (b->left != nullptr) {
        gencls_mix_gradient(kept->hidden, b->left, b->right, kept->inner, hidden, inner, from, to->left, to->right,
                            s->images, pixels, size, s->rank, threads);
        hidden = from;
    }
    gencls_convolve_gradient(b->activated, b->first, hidden, to->activated, to->first, to->first_bias, s->images,
                             s->height, s->width, 2 * size, size, s->columns, s->left, threads);
}

}  // extern "C"
