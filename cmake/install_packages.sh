# Sourced by tests/run.sh, examples/quickstart.sh and benchmarks/compare.sh. POSIX sh.
# install_packages NAME... makes sure of Debian or Ubuntu packages: those that are missing are installed with apt-get (through
# sudo unless root). Without apt-get it says in one line what is missing and returns 1.

# What a package brings, for systems without dpkg and for tools that came another way: a command or a header.
package_is_here() {
    if [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; then return 0; fi
    case $1 in
        g++) command -v g++ ;;
        clang) command -v clang++ ;;
        cmake) command -v cmake ;;
        ninja-build) command -v ninja ;;
        clang-format|ccache) command -v "$1" ;;
        pkg-config) command -v pkg-config ;;
        libeigen3-dev) header_is_here Eigen/Core ;;
        libxsimd-dev) header_is_here xsimd/xsimd.hpp ;;
        catch2) header_is_here catch2/catch.hpp || header_is_here catch2/catch_all.hpp ;;
        libstb-dev) header_is_here stb_image_write.h ;;
        nlohmann-json3-dev) header_is_here nlohmann/json.hpp ;;
        libcli11-dev) header_is_here CLI/CLI.hpp ;;
        libpng-dev) header_is_here png.h ;;
        zlib1g-dev) header_is_here zlib.h ;;
        python3) command -v python3 ;;
        g++-aarch64-linux-gnu) command -v aarch64-linux-gnu-g++ ;;
        qemu-user) command -v qemu-aarch64 ;;
        libbenchmark-dev) header_is_here benchmark/benchmark.h ;;
        libdnnl-dev) header_is_here dnnl.hpp ;;
        dataset-fashion-mnist) ls /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ;;
        libclang-rt-dev) echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
            clang++ -fsanitize=fuzzer -x c++ - -o /dev/null ;;
        libomp-dev) echo 'int main() {}' | clang++ -fopenmp -x c++ - -o /dev/null ;;
        *) false ;;
    esac >/dev/null 2>&1
}

header_is_here() {
    echo "#include <$1>" | g++ -std=c++20 -fsyntax-only -I/usr/include/eigen3 -I/usr/include/stb \
        -I/usr/local/include/eigen3 -I/usr/local/include/stb -x c++ - 2>/dev/null
}

install_packages() {
    missing=
    for package in "$@"; do
        package_is_here "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "genmod: missing:$missing (Debian's names), and there is no apt-get here: please install them" >&2
        return 1
    fi
    as_root=
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "genmod: missing:$missing; installing them needs root or sudo" >&2
            return 1
        fi
        as_root=sudo
    fi
    echo "genmod: installing$missing"
    # An update that fails is no end: the lists at hand may do.
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 update </dev/null || true
    # shellcheck disable=SC2086  # one word per package
    if ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
            install --no-install-recommends $missing </dev/null; then
        echo "genmod: apt-get could not install:$missing" >&2
        return 1
    fi
}

# The same for packages that one can do without: only where the system offers them, and without complaint.
install_packages_if_offered() {
    for package in "$@"; do
        package_is_here "$package" || ! apt-cache show "$package" >/dev/null 2>&1 || install_packages "$package" || true
    done
}

# What building needs at all, and what the tests, the examples and the second compiler add.
packages_build="g++ cmake ninja-build pkg-config libeigen3-dev libxsimd-dev libstb-dev libpng-dev zlib1g-dev"
packages_examples="libcli11-dev dataset-fashion-mnist"
packages_tests="catch2 nlohmann-json3-dev"
packages_all="clang libomp-dev clang-format ccache libbenchmark-dev"
packages_cross="g++-aarch64-linux-gnu qemu-user"   # equal bits on another kind of processor
packages_benchmarks="python3 libbenchmark-dev"
packages_peers="libopenblas-openmp-dev libdnnl-dev python3-venv python3-dev"   # peers of the benchmarks
packages_sanitize="libclang-rt-dev"   # comes with clang on some systems
