// A user's program: what every way of getting genmod has to build and run.
#include <cstdio>

#include <genmod/genmod.hpp>

int main() {
    const auto ones = genmod::Tensor<float>::full({2, 3}, 1.0f);
    float sum = 0;
    for (const float x : ones) sum += x;
    std::printf("genmod %s: %s\n", genmod::version, sum == 6 ? "fine" : "wrong");
    return sum == 6 ? 0 : 1;
}
