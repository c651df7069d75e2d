// AMX: products of tiles of bf16, where the build and the processor have them (Intel, from Sapphire Rapids on).
#pragma once

#include <array>
#include <cstdint>

#include "genmod/core/types.hpp"

#if defined(__AMX_BF16__) && defined(__AVX512F__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

#include "genmod/kernels/impl/xsimd.hpp"
#endif

namespace genmod::kernels::amx {

// The operands of a product of tiles: two times sixteen rows of a, a_step numbers from row to row, whose tiles of 32
// numbers lie `places` behind `a`, or, without places, one after the other; b [k_tiles][16 pairs of k][32 columns][2].
struct Operands {
    const bf16* a[2] = {};
    Index a_step = 0;
    const Index* places = nullptr;
    const bf16* b = nullptr;
    Index k_tiles = 0;

    Index place(Index k) const { return places == nullptr ? 32 * k : places[k]; }
};

#if defined(__AMX_BF16__) && defined(__AVX512F__) && defined(__linux__)

// Whether the system lets this process use the tiles: it must be asked once.
inline bool available() {
    static const bool granted = [] {
        constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
        return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
    }();
    return granted;
}

// This thread's tiles, all of 16 rows of 64 bytes, until the end of the scope.
class Tiles {
public:
    Tiles() {
        struct alignas(64) Configuration {
            std::uint8_t palette = 1, start_row = 0;
            std::array<std::uint8_t, 14> reserved{};
            std::array<std::uint16_t, 16> row_bytes{};
            std::array<std::uint8_t, 16> rows{};
        } configuration;
        for (std::size_t tile = 0; tile < 8; ++tile) {
            configuration.row_bytes[tile] = 64;
            configuration.rows[tile] = 16;
        }
        asm volatile("" : : "r"(&configuration) : "memory");  // g++ knows only the first eight bytes to be read
        _tile_loadconfig(&configuration);
    }
    ~Tiles() { _tile_release(); }
    Tiles(const Tiles&) = delete;
    Tiles& operator=(const Tiles&) = delete;
};

// Tiles of k between stores of a tile. Once loads have passed through the whole nearest cache, about twelve of k, the
// next store of any tile takes 300 ns, wherever it goes (Granite Rapids); stores of no use between them keep it short.
inline constexpr Index loads_between_stores = 4;

// c [16 * RowTiles][32] = [c +] a * b for the first 16 * ColTiles columns; `meanwhile` is called after each tile of k.
// Needs a scope of Tiles.
template <int RowTiles, int ColTiles, class F>
void multiply(const Operands& from, bool resume, float* c, F meanwhile) {
    alignas(64) float unused[16 * 16];
    constexpr Index row_bytes = 128;  // of c and b
    constexpr Index b_tile = 16 * 64;
    const Index a_row_bytes = from.a_step * static_cast<Index>(sizeof(bf16));
    asm volatile("" ::: "memory");  // g++ does not know that tiles are loaded from memory
    if (resume) {
        _tile_loadd(0, c, row_bytes);
        if constexpr (ColTiles > 1) _tile_loadd(1, c + 16, row_bytes);
        if constexpr (RowTiles > 1) _tile_loadd(2, c + 16 * 32, row_bytes);
        if constexpr (RowTiles > 1 && ColTiles > 1) _tile_loadd(3, c + 16 * 32 + 16, row_bytes);
    } else {
        _tile_zero(0);
        if constexpr (ColTiles > 1) _tile_zero(1);
        if constexpr (RowTiles > 1) _tile_zero(2);
        if constexpr (RowTiles > 1 && ColTiles > 1) _tile_zero(3);
    }
    for (Index k = 0; k < from.k_tiles; ++k) {
        const Index place = from.place(k);
        const bf16* const b = from.b + k * b_tile;
        _tile_loadd(4, from.a[0] + place, a_row_bytes);
        _tile_loadd(6, b, row_bytes);
        _tile_dpbf16ps(0, 4, 6);
        if constexpr (ColTiles > 1) {
            _tile_loadd(7, b + 32, row_bytes);
            _tile_dpbf16ps(1, 4, 7);
        }
        if constexpr (RowTiles > 1) {
            _tile_loadd(5, from.a[1] + place, a_row_bytes);
            _tile_dpbf16ps(2, 5, 6);
        }
        if constexpr (RowTiles > 1 && ColTiles > 1) _tile_dpbf16ps(3, 5, 7);
        if ((k + 1) % loads_between_stores == 0 && k + 1 < from.k_tiles) _tile_stored(4, unused, 64);
        meanwhile();
    }
    _tile_stored(0, c, row_bytes);
    if constexpr (ColTiles > 1) _tile_stored(1, c + 16, row_bytes);
    if constexpr (RowTiles > 1) _tile_stored(2, c + 16 * 32, row_bytes);
    if constexpr (RowTiles > 1 && ColTiles > 1) _tile_stored(3, c + 16 * 32 + 16, row_bytes);
}

#else

inline bool available() { return false; }

class Tiles {};

template <int RowTiles, int ColTiles, class F>
void multiply(const Operands&, bool, float*, F) {}

#endif

}  // namespace genmod::kernels::amx
