// Ranks as threads of one process, whose all-gather can fail or come late.
#pragma once

#include "api.h"

#include <hnorm/comm.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ranks {

constexpr int kTooLate = 77;

// The all-gather of some threads. A thread that waits for longer than the deadline gives up.
class Group {
public:
    explicit Group(int ranks, std::chrono::milliseconds deadline = std::chrono::seconds(60))
        : deadline_(deadline), messages_(static_cast<size_t>(ranks)) {
        for (int r = 0; r < ranks; r++) members_.push_back({this, r});
    }
    hnorm_comm comm(int rank) {
        return hnorm_comm_of(rank, static_cast<int>(members_.size()), gather, &members_[static_cast<size_t>(rank)]);
    }
    // Bytes that a rank has sent since it was made, and its rounds.
    size_t bytes(int rank) const { return members_[static_cast<size_t>(rank)].bytes; }
    int rounds(int rank) const { return members_[static_cast<size_t>(rank)].rounds; }

private:
    struct Member {
        Group *group;
        int rank;
        size_t bytes = 0;
        int rounds = 0;
    };
    static int gather(void *argument, const void *mine, size_t bytes, void *all) {
        Member &member = *static_cast<Member *>(argument);
        member.bytes += bytes;
        ++member.rounds;
        return member.group->gather(member.rank, mine, bytes, static_cast<char *>(all));
    }
    int gather(int rank, const void *mine, size_t bytes, char *all) {
        std::unique_lock<std::mutex> lock(mutex_);
        std::vector<char> &message = messages_[static_cast<size_t>(rank)];
        message.assign(static_cast<const char *>(mine), static_cast<const char *>(mine) + bytes);
        if (wait_for_all(lock) != 0) return kTooLate;
        bool equal = true;
        for (size_t r = 0; r < messages_.size(); r++) {
            equal = equal && messages_[r].size() == bytes;
            if (equal) std::memcpy(all + r * bytes, messages_[r].data(), bytes);
        }
        return wait_for_all(lock) != 0 ? kTooLate : equal ? 0 : 1;
    }
    int wait_for_all(std::unique_lock<std::mutex> &lock) {
        const long round = round_;
        if (++waiting_ == static_cast<int>(messages_.size())) {
            waiting_ = 0;
            ++round_;
            changed_.notify_all();
            return 0;
        }
        return changed_.wait_for(lock, deadline_, [&] { return round_ != round; }) ? 0 : kTooLate;
    }

    const std::chrono::milliseconds deadline_;
    std::mutex mutex_;
    std::condition_variable changed_;
    int waiting_ = 0;
    long round_ = 0;
    std::vector<std::vector<char>> messages_;
    std::deque<Member> members_;
};

// Calls body(rank) on a thread for each rank.
template <typename Body>
void on_ranks(int count, const Body &body) {
    std::vector<std::thread> threads;
    for (int r = 0; r < count; r++) threads.emplace_back([&body, r] { body(r); });
    for (std::thread &thread : threads) thread.join();
}

// Samples [begin, begin + count) of a tensor.
inline hnorm_tensor samples_of(hnorm_tensor tensor, int64_t begin, int64_t count) {
    const int64_t size = tensor.type == HNORM_F32 ? 4 : 2;
    tensor.data = static_cast<char *>(tensor.data) + begin * tensor.strides[0] * size;
    tensor.shape[0] = count;
    return tensor;
}

}  // namespace ranks
