// What certification found.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"

namespace genmod::diffusion {

// One thing that was measured.
struct CertifyCheck {
    std::string name;
    double measured = 0;
    double expected = 0;
    double allowed = 0;  // how far apart they may be
    bool passed = false;
    std::string text;  // one line
};

// The error with so many steps.
struct CertifyError {
    Index steps = 0;
    double error = 0;
    double calls = 0;  // questions to the network
};

struct Certificate {
    std::vector<CertifyCheck> checks;
    std::vector<CertifyError> errors;  // of rising steps, see CertifyOptions::order
    double order = 0;                  // by which the error falls with the number of steps
    double law_distance = 0;           // sliced Wasserstein distance between the samples and the target

    bool passed() const {
        return std::all_of(checks.begin(), checks.end(), [](const CertifyCheck& check) { return check.passed; });
    }

    // Whether there is a check of that name that did not pass.
    bool refused_by(std::string_view name) const {
        return std::any_of(checks.begin(), checks.end(),
                           [&](const CertifyCheck& check) { return check.name == name && !check.passed; });
    }
};

inline std::string to_string(const CertifyCheck& check) { return check.text; }

// The lines of all checks.
inline std::string to_string(const Certificate& certificate) {
    std::string text;
    for (const CertifyCheck& check : certificate.checks) text += check.text + "\n";
    return text;
}

namespace detail {

inline std::string digits(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", value);
    return text;
}

// Passes when measured is finite and within `allowed` of expected.
inline CertifyCheck near(std::string name, double measured, double expected, double allowed, const std::string& what) {
    const bool passed = std::fabs(measured - expected) <= allowed;  // NaN does not
    std::string text = name + ": " + what + " is " + digits(measured) + ", expected " + digits(expected) + " within " +
                       digits(allowed) + (passed ? "" : ": refused");
    return {std::move(name), measured, expected, allowed, passed, std::move(text)};
}

// Passes when measured is at least `expected`.
inline CertifyCheck at_least(std::string name, double measured, double expected, const std::string& what) {
    const bool passed = measured >= expected;
    std::string text = name + ": " + what + " is " + digits(measured) + ", expected at least " + digits(expected) +
                       (passed ? "" : ": refused");
    return {std::move(name), measured, expected, 0, passed, std::move(text)};
}

}  // namespace detail

}  // namespace genmod::diffusion
