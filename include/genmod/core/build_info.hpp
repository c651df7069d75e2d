// What this program was compiled for, and what the machine offers.
#pragma once

#include <string>

#include "genmod/core/parallel.hpp"
#include "genmod/version.hpp"

namespace genmod {

// One line: version, compiler, instruction set, threads; a second one where the CPU offers more than the build uses.
inline std::string build_info() {
    std::string text = "genmod " + std::string(version) + ", ";
#if defined(__clang__)
    text += "clang " + std::to_string(__clang_major__);
#elif defined(__GNUC__)
    text += "g++ " + std::to_string(__GNUC__);
#endif
#if defined(__AVX512F__)
    text += ", AVX-512";
#elif defined(__AVX2__)
    text += ", AVX2";
#elif defined(__ARM_NEON)
    text += ", NEON";
#else
    text += ", baseline instructions";
#endif
    text += ", " + std::to_string(thread_count()) + (thread_count() == 1 ? " thread" : " threads");
#if !defined(__OPTIMIZE__)
    text += "\nwarning: compiled without optimisation; add -O2";
#endif
#if defined(__x86_64__) && !defined(__AVX2__)
    if (__builtin_cpu_supports("avx2") != 0)
        text += "\nwarning: this CPU has AVX2, but the program was compiled without it; add -march=native";
#endif
    return text;
}

}  // namespace genmod
