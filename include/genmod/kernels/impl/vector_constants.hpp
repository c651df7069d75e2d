// The numbers behind the vector functions.
#pragma once

#include <cstdint>

namespace genmod::simd::detail {

// Numbers that differ between the two precisions. Polynomials (lowest power first) are minimax fits.
template <class T>
struct Constants;

template <>
struct Constants<float> {
    static constexpr int mantissa_bits = 23;
    static constexpr float round = 0x1.8p23f;  // x + round - round: to nearest even
    static constexpr float exponent_bias = 127;
    static constexpr float exp_low = -104, exp_high = 89, expm1_low = -18;      // beyond: 0, infinity, -1
    static constexpr float exp_least = -88;                                     // beyond: less than the normal numbers
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;  // high part: 10 bits
    static constexpr std::uint32_t sqrt_half = 0x3f3504f3u, one = 0x3f800000u, exponent_grid = 0x4b000000u;
    static constexpr float exponent_shift = 0x1p23f + 127, subnormal_scale = 0x1p24f, subnormal_exponent = -24;
    static constexpr float tiny = 1e-8f, erf_split = 0.93f, erf_end = 4.0f;
    static constexpr float sin_limit = 0x1p21f;
    // pi/2 in four parts: 11, 11, 11 and 24 bits.
    static constexpr float half_pi[4] = {0x1.92p+0f, 0x1.fb4p-12f, 0x1.444p-24f, 0x1.68c234p-39f};
    static constexpr float exp[] = {0.5f, 0.166666657f, 0.0416663587f, 0.00833339058f, 0.00139407208f, 0.000198455833f};
    static constexpr float exp2[] = {0.693147182f,   0.240226477f,   0.0555035993f,
                                     0.00961850584f, 0.00133908063f, 0.000153264715f};
    static constexpr float exp2_rough[] = {0.6932829f, 0.24221097f, 0.055008933f}, exp2_least = -126;
    static constexpr float log[] = {0.666666627f, 0.400003374f, 0.285372406f, 0.235835582f};
    static constexpr float sin[] = {-0.166666552f, 0.00833217334f, -0.000195166547f};
    static constexpr float cos[] = {0.0416666456f, -0.00138873619f, 2.44377825e-05f};
    static constexpr float erf[] = {0.128379151f,   -0.376124799f,  0.112816833f,
                                    -0.0267617293f, 0.00498594483f, -0.000595373625f};
    static constexpr float erfc[] = {0.12864849f,    0.635151327f,     0.10623689f,    -0.0237620715f,
                                     0.00364246382f, -0.000322805165f, 1.12314483e-05f};
};

template <>
struct Constants<double> {
    static constexpr int mantissa_bits = 52;
    static constexpr double round = 0x1.8p52;
    static constexpr double exponent_bias = 1023;
    static constexpr double exp_low = -746, exp_high = 710, expm1_low = -38, exp_least = -709;
    static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    static constexpr std::uint64_t sqrt_half = 0x3fe6a09e667f3bcdu, one = 0x3ff0000000000000u,
                                   exponent_grid = 0x4330000000000000u;
    static constexpr double exponent_shift = 0x1p52 + 1023, subnormal_scale = 0x1p54, subnormal_exponent = -54;
    static constexpr double tiny = 1e-17, erf_split = 1.0, erf_end = 6.0;
    static constexpr double sin_limit = 0x1p30;
    // pi/2 in four parts: 33, 33, 33 and 53 bits.
    static constexpr double half_pi[4] = {0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2ep-69, 0x1.b839a252049c1p-104};
    static constexpr double exp[] = {0.5,
                                     0.16666666666666677,
                                     0.041666666666666505,
                                     0.008333333333321608,
                                     0.0013888888888962912,
                                     0.00019841269886207888,
                                     2.480158717181742e-05,
                                     2.75572441041757e-06,
                                     2.7557402960896976e-07,
                                     2.5109081424871223e-08,
                                     2.0875322781728217e-09};
    static constexpr double exp2[] = {0.69314718055994573,    0.24022650695910097,    0.055504108664790393,
                                      0.0096181291076070027,  0.0013333558153439966,  0.00015403530441572129,
                                      1.5252727385193868e-05, 1.3215442675329823e-06, 1.0180647659234139e-07,
                                      7.0725704128144234e-09, 4.0780719295883369e-10};
    static constexpr double log[] = {0.6666666666666735, 0.3999999999941147, 0.2857142874318623, 0.22222198483158317,
                                     0.1818356939920999, 0.1531391119639188, 0.14797435259905645};
    static constexpr double sin[] = {-0.16666666666666632,  0.008333333333322325,    -0.00019841269829731352,
                                     2.755731366385447e-06, -2.5050753496642818e-08, 1.5896515893380495e-10};
    static constexpr double cos[] = {0.041666666666666616,   -0.0013888888888876037, 2.4801587290496913e-05,
                                     -2.755731460768649e-07, 2.0875754056833327e-09, -1.1361080391861777e-11};
    static constexpr double erf[] = {0.1283791670955126,     -0.3761263890318375,     0.11283791670954858,
                                     -0.02686617064507296,   0.00522397762478137,     -0.0008548326978765149,
                                     0.00012055331037551108, -1.4925593518728226e-05, 1.6460972954153765e-06,
                                     -1.635002619207727e-07, 1.4657883530919653e-08,  -1.136567067182716e-09,
                                     5.945255584223488e-11};
    static constexpr double erfc[] = {
        0.12837920141654455,     0.6366193613177707,     0.10277491552786165,    -0.01913657330427571,
        -0.00018917595225567753, 0.0016594577364279727,  -0.0005379795389161426, -3.2632649455736866e-05,
        0.00011709112446390378,  -6.778223814132579e-05, 2.5447667700639857e-05, -7.1465705307863896e-06,
        1.5593088565332652e-06,  -2.65524059110811e-07,  3.478152395729608e-08,  -3.3928324227972777e-09,
        2.3232956340241187e-10,  -9.96578719576285e-12,  2.014279606266767e-13};
};

}  // namespace genmod::simd::detail
