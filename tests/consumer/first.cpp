// With second.cpp: two files that include everything link into one program without genmod::compiled.
#include <cstdio>

#include <genmod/genmod.hpp>

genmod::Tensor<float> made_in_second();

int main() {
    const genmod::Tensor<float> x = made_in_second();
    std::printf("%s\n", genmod::build_info().c_str());
    return x.size() == 6 && x[5] == 2.0f ? 0 : 1;
}
