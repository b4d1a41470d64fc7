// The demo's own parts: colour space, statistics, pictures and messages. The kernels are tested in
// tests/.
#include "catch.hpp"

#include "colour.h"
#include "demo.h"
#include "image.h"
#include "transfer.h"

#include <stb/stb_image_write.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

using namespace demo;

namespace {

// A folder of its own, removed at the end.
struct TemporaryFolder {
    std::string path;

    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "hnorm_demo_XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path = name;
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path); }
    std::string file(const std::string &name) const { return path + "/" + name; }
};

Picture random_picture(int width, int height, int darkest, int brightest, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> value(darkest, brightest);
    Picture picture{width, height, std::vector<uint8_t>(size_t(width) * height * 3)};
    for (uint8_t &v : picture.rgb) v = static_cast<uint8_t>(value(random));
    return picture;
}

struct Outcome {
    int status;
    std::string out, err;
};

Outcome run_demo(const std::vector<std::string> &arguments) {
    std::ostringstream out, err;
    const int status = run(arguments, out, err);
    return {status, out.str(), err.str()};
}

bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("RGB to LMS and back are the published matrices, to their digits") {
    constexpr Matrix published = {{{0.3811, 0.5783, 0.0402}, {0.1967, 0.7244, 0.0782}, {0.0241, 0.1228, 0.8444}}};
    constexpr Matrix back = {{{4.4679, -3.5873, 0.1193}, {-1.2186, 2.3809, -0.1624}, {0.0497, -0.2439, 1.2045}}};
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            CAPTURE(i, j);
            CHECK(std::fabs(kRgbToLms[i][j] - published[i][j]) < 1e-4);
            CHECK(std::fabs(kLmsToRgb[i][j] - back[i][j]) < 5e-4);
        }
    }
}

TEST_CASE("colours come back from l-alpha-beta") {
    double worst = 0;
    for (int r = 0; r <= 255; r += 15)
        for (int g = 0; g <= 255; g += 15)
            for (int b = 0; b <= 255; b += 15) {
                const Triple rgb = {decode(r / 255.0), decode(g / 255.0), decode(b / 255.0)};
                const Triple lms = product(kRgbToLms, rgb);
                if (*std::min_element(lms.begin(), lms.end()) < kDarkest) continue;
                const Triple back = from_lab(to_lab(rgb));
                for (int c = 0; c < 3; c++) worst = std::max(worst, std::fabs(back[c] - rgb[c]));
            }
    CHECK(worst < 1e-13);
}

TEST_CASE("8-bit pictures come back from l-alpha-beta, black as the darkest grey") {
    Picture greys{256, 1, {}};
    for (int i = 0; i < 256; i++) greys.rgb.insert(greys.rgb.end(), 3, static_cast<uint8_t>(i));
    Picture expected = greys;
    std::fill_n(expected.rgb.begin(), 3, uint8_t(1));
    CHECK(from_lab_picture(to_lab_picture(greys)).rgb == expected.rgb);

    const Picture colours = random_picture(61, 47, 16, 255, 1);
    CHECK(from_lab_picture(to_lab_picture(colours)).rgb == colours.rgb);
}

TEST_CASE("sRGB encoding undoes decoding") {
    for (int i = 0; i <= 1000; i++) CHECK(std::fabs(encode(decode(i / 1000.0)) - i / 1000.0) < 1e-7);
}

TEST_CASE("transfer reaches the style's statistics") {
    const int sizes[][2] = {{2, 1}, {1, 7}, {13, 5}, {64, 64}, {321, 123}};
    for (const auto &size : sizes) {
        CAPTURE(size[0], size[1]);
        const LabPicture content = to_lab_picture(random_picture(size[0], size[1], 0, 255, 2));
        const LabPicture style = to_lab_picture(random_picture(40, 31, 30, 90, 3));
        const Transfer transfer = transfer_statistics(content, style);
        const ChannelStatistics target = plain_statistics(style), achieved = plain_statistics(transfer.result);
        for (int c = 0; c < 3; c++) {
            CAPTURE(kChannelNames[c]);
            CHECK(relative_difference(achieved[c].mean, target[c].mean) < kTransferBound);
            CHECK(relative_difference(achieved[c].deviation, target[c].deviation) < kTransferBound);
            CHECK(relative_difference(transfer.target[c].deviation, target[c].deviation) < 1e-6);
        }
    }
}

TEST_CASE("a grey content takes the style's tint, without noise") {
    Picture grey{50, 20, {}};
    for (int i = 0; i < 1000; i++) grey.rgb.insert(grey.rgb.end(), 3, static_cast<uint8_t>(10 + i % 240));
    const LabPicture style = to_lab_picture(random_picture(40, 31, 30, 90, 4));
    const Transfer transfer = transfer_statistics(to_lab_picture(grey), style);
    const ChannelStatistics target = plain_statistics(style), achieved = plain_statistics(transfer.result);

    CHECK(transfer.content_constant == std::array<bool, 3>{false, true, true});
    CHECK(relative_difference(achieved[0].deviation, target[0].deviation) < kTransferBound);
    for (int c : {1, 2}) {
        CHECK(relative_difference(achieved[c].mean, target[c].mean) < kTransferBound);
        CHECK(achieved[c].deviation < 1e-6);
    }
}

TEST_CASE("one colour as content becomes the style's mean colour") {
    const Picture plain{9, 4, std::vector<uint8_t>(9 * 4 * 3, 77)};
    const LabPicture style = to_lab_picture(random_picture(20, 20, 0, 255, 5));
    const Transfer transfer = transfer_statistics(to_lab_picture(plain), style);
    const ChannelStatistics target = plain_statistics(style), achieved = plain_statistics(transfer.result);
    for (int c = 0; c < 3; c++) CHECK(relative_difference(achieved[c].mean, target[c].mean) < kTransferBound);
}

TEST_CASE("grey and transparent pictures are read as colour over white") {
    const TemporaryFolder folder;
    const uint8_t grey[] = {0, 100}, grey_alpha[] = {100, 255, 0, 0}, rgba[] = {1, 2, 3, 255, 9, 9, 9, 0};
    REQUIRE(stbi_write_png(folder.file("grey.png").c_str(), 2, 1, 1, grey, 0));
    REQUIRE(stbi_write_png(folder.file("grey_alpha.png").c_str(), 2, 1, 2, grey_alpha, 0));
    REQUIRE(stbi_write_png(folder.file("rgba.png").c_str(), 2, 1, 4, rgba, 0));
    using Bytes = std::vector<uint8_t>;
    CHECK(load_picture("content", folder.file("grey.png")).rgb == Bytes{0, 0, 0, 100, 100, 100});
    CHECK(load_picture("content", folder.file("grey_alpha.png")).rgb == Bytes{100, 100, 100, 255, 255, 255});
    CHECK(load_picture("content", folder.file("rgba.png")).rgb == Bytes{1, 2, 3, 255, 255, 255});
}

TEST_CASE("pictures side by side have one height and a margin") {
    const Picture a = random_picture(30, 20, 0, 0, 6), b = random_picture(40, 80, 0, 0, 6);
    const Picture row = side_by_side({a, b});
    CHECK(row.height == 20 + 2 * 12);
    CHECK(row.width == 30 + 10 + 3 * 12);
    const auto red = [&](int x, int y) { return row.rgb[(size_t(y) * row.width + x) * 3]; };
    CHECK(red(0, 0) == 255);
    CHECK(red(12, 12) == 0);
    CHECK(red(12 + 30, 20) == 255);
    CHECK(red(12 + 30 + 12, 12 + 19) == 0);

    const Picture stripe = side_by_side({a, random_picture(5000, 1, 0, 0, 6)});  // must not become 100,000 wide
    CHECK(stripe.width == 2 + 2000 + 3 * 12);
    CHECK(stripe.height == 1 + 2 * 12);
}

TEST_CASE("its numbers are right and its pictures are written") {
    const TemporaryFolder folder;
    const Outcome outcome = run_demo({"--no-table", "--out", folder.file("new/out")});
    CAPTURE(outcome.out, outcome.err);
    CHECK(outcome.status == 0);
    CHECK(outcome.err.empty());
    CHECK(contains(outcome.out, "within the bound of 2.0e-04"));
    CHECK(contains(outcome.out, "All within 0.001 relative"));
    const Picture result = load_picture("result", folder.file("new/out/result.png"));
    CHECK(result.width == 640);
    CHECK(result.height == 427);
    CHECK(std::filesystem::exists(folder.file("new/out/statistics_transfer.png")));
}

TEST_CASE("it reports a missing picture, and what else is wrong with one") {
    const TemporaryFolder folder;
    const auto transfer = [&](const std::string &content, const std::string &style) {
        return run_demo({"--no-table", "--out", folder.file("out"), content, style});
    };
    write_png(folder.file("good.png"), random_picture(8, 8, 0, 255, 7));
    write_png(folder.file("pixel.png"), random_picture(1, 1, 0, 255, 7));
    std::ofstream(folder.file("text.png")) << "no picture\n";

    const Outcome missing = transfer(folder.file("none.png"), folder.file("good.png"));
    CHECK(missing.status == 1);
    CHECK(contains(missing.err, "the content '" + folder.file("none.png") + "' cannot be opened: No such file"));
    const Outcome not_a_picture = transfer(folder.file("good.png"), folder.file("text.png"));
    CHECK(not_a_picture.status == 1);
    CHECK(contains(not_a_picture.err, "the style '" + folder.file("text.png") + "' is not a picture"));
    const Outcome directory = transfer(folder.file("good.png"), folder.path);
    CHECK(directory.status == 1);
    CHECK(contains(directory.err, "is a folder, not a picture"));
    const Outcome pixel = transfer(folder.file("pixel.png"), folder.file("good.png"));
    CHECK(pixel.status == 1);
    CHECK(contains(pixel.err, "the content '" + folder.file("pixel.png") + "' is a single pixel"));
    CHECK_FALSE(std::filesystem::exists(folder.file("out")));

    const Outcome unwritable = run_demo({"--no-table", "--out", folder.file("good.png")});
    CHECK(unwritable.status == 1);
    CHECK(contains(unwritable.err, folder.file("good.png")));
}

TEST_CASE("it refuses wrong arguments and says what it takes") {
    const std::vector<std::vector<std::string>> wrong = {
        {"one.png"}, {"a.png", "b.png", "c.png"}, {"--speed"}, {"--out"}};
    const char *reasons[] = {"STYLE is missing", "'c.png'", "'--speed'", "--out needs"};
    for (size_t i = 0; i < wrong.size(); i++) {
        const Outcome outcome = run_demo(wrong[i]);
        CHECK(outcome.status == 2);
        CHECK(contains(outcome.err, reasons[i]));
        CHECK(contains(outcome.err, "usage:"));
        CHECK(outcome.out.empty());
    }
    CHECK(run_demo({"--help"}).status == 0);
}
