// A line that shows how far a loop is, for programs (the library itself writes nothing).
#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

#include "genmod/core/types.hpp"

namespace genmod::io {

namespace detail {

// "0:07", "12:34" or "1:02:03".
inline std::string clock_text(double seconds) {
    const auto whole = static_cast<long long>(std::clamp(seconds, 0.0, 3.6e8) + 0.5);
    std::array<char, 48> text{};
    if (whole < 3600)
        std::snprintf(text.data(), text.size(), "%lld:%02lld", whole / 60, whole % 60);
    else
        std::snprintf(text.data(), text.size(), "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
    return text.data();
}

// "sampling: 12/50 (24 %), 3.4 steps/s, 0:11 left", or "..., 0:15 in all" at the end.
// The first `before` steps were done earlier and count in the share only.
inline std::string progress_text(const std::string& label, Index step, Index total, double seconds, Index before = 0) {
    const double rate = seconds > 0 ? static_cast<double>(step - before) / seconds : 0;
    std::array<char, 64> speed{};
    if (rate >= 1 || rate <= 0)
        std::snprintf(speed.data(), speed.size(), "%.1f steps/s", rate);
    else
        std::snprintf(speed.data(), speed.size(), "%.1f s/step", 1 / rate);
    const double left = rate > 0 ? static_cast<double>(total - step) / rate : 0;
    const double share = total > 0 ? 100.0 * static_cast<double>(step) / static_cast<double>(total) : 100.0;
    return label + ": " + std::to_string(step) + "/" + std::to_string(total) + " (" +
           std::to_string(static_cast<int>(share)) + " %), " + speed.data() + ", " +
           (step < total ? clock_text(left) + " left" : clock_text(seconds) + " in all");
}

}  // namespace detail

// Call it after each step: progress(step, total) with step in 1..total; a smaller step again begins anew, and a first
// step over 1 means that the ones before were done earlier. On a terminal it
// rewrites one line of standard error at most ten times a second; elsewhere it writes a line each tenth of the way.
// No colours, with or without NO_COLOR.
class Progress {
public:
    explicit Progress(std::string label) : Progress(std::move(label), stderr, ::isatty(STDERR_FILENO) == 1) {}

    // To another stream, which stays the caller's.
    Progress(std::string label, std::FILE* out, bool terminal)
        : label_(std::move(label)), out_(out), terminal_(terminal) {}

    void operator()(Index step, Index total) {
        const auto now = Clock::now();
        if (step <= last_step_ || last_step_ == 0) {
            start_ = last_time_;
            before_ = step - 1;
            tenth_ = 0;
        }
        last_step_ = step;
        last_time_ = now;
        const Index tenth = total > 0 ? step * 10 / total : 10;
        const bool due = terminal_ ? now - shown_ >= std::chrono::milliseconds(100) : tenth != tenth_;
        if (!due && step != total) return;
        shown_ = now;
        tenth_ = tenth;
        show(detail::progress_text(label_, step, total, std::chrono::duration<double>(now - start_).count(), before_),
             step >= total);
    }

private:
    using Clock = std::chrono::steady_clock;

    void show(std::string text, bool last) {
        const std::size_t length = text.size();
        if (terminal_ && length < shown_length_)
            text.append(shown_length_ - length, ' ');  // over the longer line before
        shown_length_ = length;
        std::fprintf(out_, terminal_ && !last ? "%s\r" : "%s\n", text.c_str());
        std::fflush(out_);
    }

    std::string label_;
    std::FILE* out_;
    bool terminal_;
    Clock::time_point start_ = Clock::now(), last_time_ = start_, shown_{};
    Index last_step_ = 0, before_ = 0, tenth_ = 0;
    std::size_t shown_length_ = 0;
};

// A Progress to pass on as a callback.
inline Progress progress(std::string label) { return Progress(std::move(label)); }

}  // namespace genmod::io
