#include "rank_sums.h"

namespace hnorm::detail {

namespace {

constexpr Grouping kBatch = {HNORM_BATCH, 1};

// What one process would be given: this rank's planes with the samples of all. A rank without
// samples takes the others' layout.
CheckedTensor of_all(const Exchange &exchange, const CheckedTensor &x) {
    CheckedTensor all = x;
    if (x.empty()) {
        all.s = exchange.positions();
        all.layout = exchange.channels_last() ? Layout::kChannelsLast : Layout::kChannelsFirst;
        all = dense_like(all, nullptr);
    }
    all.n = exchange.all_samples();
    return all;
}

}  // namespace

Stream::Borders Stream::borders() const {
    // A chunk has up to 32 rows along a plane of samples, and a run 8 chunks.
    if (samples_are_positions) {
        return {32, 256};
    }
    const ChunkPlanes of = chunk_planes(planes, x.s.extent);
    const int64_t run = of.chunk * of.chunks_of_run;
    return {of.chunks_of_plane == 1 ? of.chunk : run, run};
}

RankedView::RankedView(const Exchange &exchange, const CheckedTensor &x, const CheckedTensor *dy)
    : exchange_(exchange) {
    const CheckedTensor all_x = of_all(exchange, x), all_dy = of_all(exchange, dy ? *dy : x);
    all_ = mine_ = sums_view(all_x, &all_dy, kBatch);
    const int64_t samples = exchange.samples(exchange.rank());
    for (View *view : {&mine_.x, &mine_.dy}) {
        samples_of(*view, mine_).extent = samples;
    }
    exact_ = is_exact_split();
    if (!exact_ && all_.few_channels && all_.samples_are_positions) {
        parted_ = false;  // Parts would lie across ranks in no order.
    }
}

bool RankedView::is_exact_split() const {
    bool exact = true;
    for_streams(all_, [&](const Stream &stream) {
        for (int r = 0; r < exchange_.ranks(); ++r) {
            const bool whole = !stream.is_part || exchange_.start(r) % kFewChannelsParts == 0;
            exact = exact && (exchange_.samples(r) == 0 || (whole && start(stream, r) % stream.borders().chunk == 0));
        }
        return HNORM_OK;
    });
    return exact;
}

int64_t RankedView::start(const Stream &stream, int rank) const {
    const int64_t start = exchange_.start(rank);
    return stream.is_part ? start / kFewChannelsParts : stream.is_rest ? 0 : start;
}

int64_t RankedView::samples(const Stream &stream, int rank) const {
    const int64_t samples = exchange_.samples(rank);
    return stream.is_part ? samples / kFewChannelsParts : stream.is_rest ? samples % kFewChannelsParts : samples;
}

int64_t RankedView::head(const Stream &stream, int rank) const {
    const int64_t run = stream.borders().run, into = start(stream, rank) % run;
    return !exact_ || into == 0 ? 0 : std::min(run - into, samples(stream, rank));
}

int64_t RankedView::addends(const Stream &stream, int rank) const {
    const int64_t first = head(stream, rank), chunk = stream.borders().chunk;
    return (first + chunk - 1) / chunk + stream.runs(samples(stream, rank) - first);
}

int64_t RankSums::message(const SumsView &all, int rank) const {
    int64_t values = 0;
    view_.for_streams(all, [&](const Stream &stream) {
        values += view_.addends(stream, rank) * values_of(stream.x.groups());
        return HNORM_OK;
    });
    return values;
}

int64_t RankedView::run_of(const Stream &stream, int rank, int64_t addend) const {
    const Stream::Borders borders = stream.borders();
    const int64_t begin = start(stream, rank), first = head(stream, rank);
    const int64_t chunks = (first + borders.chunk - 1) / borders.chunk;
    if (addend < chunks) {
        return (begin + addend * borders.chunk) / borders.run * stream.runs_of_plane();
    }
    const int64_t run = addend - chunks, of_plane = stream.runs_of_plane();
    return ((begin + first) / borders.run + run / of_plane) * of_plane + run % of_plane;
}

int64_t RankSums::most_addends(const SumsView &all) const {
    int64_t most = 0;
    view_.for_streams(all, [&](const Stream &stream) {
        int64_t count = 0;
        for (int r = 0; r < exchange_.ranks(); ++r) {
            count += view_.addends(stream, r);
        }
        most = std::max(most, count);
        return HNORM_OK;
    });
    return most;
}

// A run that lies on several ranks is the sum of their parts of it.
void RankSums::add_up(const SumsView &all, const Sums &sums, int first_rank, int last_rank, char *goes_on) const {
    const int64_t channels = all.x.g0.extent;
    std::fill_n(sums.e, channels, 0.0);
    std::fill_n(sums.q, channels, 0.0);
    for (int k = 0; k < magnitudes_ && sums.greatest[k]; ++k) {
        std::fill_n(sums.greatest[k], channels, 0);
    }
    for (int r = first_rank; r <= last_rank; ++r) {
        exchange_.cursor(r) = 0;
    }
    view_.for_streams(all, [&](const Stream &stream) {
        // Whether an addend goes on with the run of the addend before it.
        int64_t latest = -1;
        for (int64_t r = first_rank, i = 0; r <= last_rank; ++r) {
            for (int64_t k = 0; k < view_.addends(stream, static_cast<int>(r)); ++k, ++i) {
                const int64_t run = view_.run_of(stream, static_cast<int>(r), k);
                goes_on[i] = static_cast<char>(view_.is_exact() && run == latest);
                latest = run;
            }
        }
        const int64_t groups = stream.x.groups(), addend = values_of(groups);
        const int64_t together = stream.repeat == Repeat::kPositions ? groups / channels : 1;
        for (int64_t unit = 0; unit < groups / together; ++unit) {
            const int64_t c = unit % channels;
            double e = 0, q = 0;
            for (int64_t g = unit * together; g < (unit + 1) * together; ++g) {
                double run_e = 0, run_q = 0;
                const char *on = goes_on;
                for (int r = first_rank; r <= last_rank; ++r) {
                    const double *value = exchange_.of(r) + exchange_.cursor(r) + g;
                    for (int64_t k = view_.addends(stream, r); k > 0; --k, value += addend, ++on) {
                        if (!*on) {
                            e += run_e;
                            q += run_q;
                            run_e = run_q = 0;
                        }
                        run_e += value[0];
                        run_q += value[groups];
                        for (int m = 0; m < magnitudes_ && sums.greatest[m]; ++m) {
                            sums.greatest[m][c] =
                                std::max(sums.greatest[m][c], static_cast<int32_t>(value[(2 + m) * groups]));
                        }
                    }
                }
                e += run_e;
                q += run_q;
            }
            sums.e[c] += e;
            sums.q[c] += q;
        }
        for (int r = first_rank; r <= last_rank; ++r) {
            exchange_.cursor(r) += view_.addends(stream, r) * addend;
        }
        return HNORM_OK;
    });
}

}  // namespace hnorm::detail
