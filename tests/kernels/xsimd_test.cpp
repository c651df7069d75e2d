// The header that leaves out intrinsics leaves them to whoever includes them later.
#include "genmod/kernels/impl/xsimd.hpp"

#include "tests/support/catch.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace xsimd_test {

__attribute__((target("avx512f,avx512bw"))) int sum_of_sixteen(int each) {
    int lanes[16];
    _mm512_storeu_si512(lanes, _mm512_set1_epi32(each));
    int sum = static_cast<int>(_mm512_movepi8_mask(_mm512_set1_epi32(0)));
    for (const int lane : lanes) sum += lane;
    return sum;
}

TEST_CASE("AVX-512 intrinsics are there for a program that includes them after the library") {
    if (__builtin_cpu_supports("avx512bw") != 0) REQUIRE(sum_of_sixteen(3) == 48);  // that it compiles is the point
}

}  // namespace xsimd_test
#endif
