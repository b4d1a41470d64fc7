// Layers' states: arguments and arrays that are refused. Every failure says what is wrong, and
// leaves the layer and the files as they were. (Files: test_layer_state_file_errors.cpp.)
#include "state_errors.h"

using namespace api;

TEST_CASE("null layers and paths are refused, and empty paths") {
    Subject subject;
    const char *const path = subject.path.c_str();
    require_refused(hnorm_layer_save(nullptr, path), HNORM_INVALID_ARGUMENT, {"hnorm_layer_save", "layer is null"});
    require_refused(hnorm_layer_load(nullptr, path), HNORM_INVALID_ARGUMENT, {"hnorm_layer_load", "layer is null"});
    require_refused(hnorm_layer_save(subject.layer, nullptr), HNORM_INVALID_ARGUMENT, {"path is null"});
    require_refused(hnorm_layer_load(subject.layer, nullptr), HNORM_INVALID_ARGUMENT, {"path is null"});
    require_refused(hnorm_layer_save(subject.layer, ""), HNORM_INVALID_ARGUMENT, {"path is empty"});
    require_refused(hnorm_layer_load(subject.layer, ""), HNORM_INVALID_ARGUMENT, {"path is empty"});
    REQUIRE(subject.folder.files() == 0);
}

TEST_CASE("missing, unknown and repeated arrays are refused by name") {
    Subject subject;
    const std::string all = "weight, bias, running_mean, running_var, num_batches_tracked";
    write_zip(subject.path, members_with());
    require_loaded(subject.layer, subject.path);  // so that each of the files below has one fault
    for (const auto &member : members_with()) {
        if (member.first == "num_batches_tracked.npy") continue;  // which may be missing
        subject.require_members_refused({{member.first, ""}}, {"holds no " + member.first, all});
    }
    subject.require_members_refused({{"gamma.npy", npy("<f4", "(3,)", kFloats)}}, {"holds gamma.npy", all});
    subject.require_members_refused({{"weight", kFloats}}, {"holds weight:", all});
    subject.require_members_refused({{"folder/", ""}}, {"holds folder/", all});
    subject.require_members_refused({{"\x01\n" + std::string(500, 'x'), "1"}}, {"holds ??xxx", "xxx...", all});

    // libzip writes no name twice, but a name can be overwritten by another of its length.
    write_zip(subject.path, members_with({{"WEIGHT.npy", npy("<f4", "(3,)", kFloats)}}));
    std::string bytes = read_file(subject.path);
    for (size_t at = 0; (at = bytes.find("WEIGHT", at)) != std::string::npos;) bytes.replace(at, 6, "weight");
    write_file(subject.path, bytes);
    subject.require_load_refused({"weight.npy twice", all});

    Subject untracked(layer_options(HNORM_BATCH, true, false));
    write_zip(untracked.path, members_with());
    untracked.require_load_refused({"holds running_mean.npy", "weight, bias, each once"});
    Subject bare(layer_options(HNORM_INSTANCE, false, false));
    write_zip(bare.path, members_with());
    bare.require_load_refused({"holds weight.npy", "no arrays"});
}

TEST_CASE("arrays of another shape are refused with both shapes") {
    Subject subject;
    const std::vector<std::pair<std::string, std::string>> shapes = {{"(4,)", kFloats + "four"},
                                                                     {"(2,)", kFloats.substr(8)},
                                                                     {"(3, 1)", kFloats},
                                                                     {"(1, 3)", kFloats},
                                                                     {"()", kFloats.substr(8)},
                                                                     {"(0,)", ""},
                                                                     {"(3, 0)", ""}};
    for (const auto &[shape, values] : shapes) {
        subject.require_members_refused({{"weight.npy", npy("<f4", shape, values)}},
                                        {"weight has the shape " + shape, "(3,)"});
    }
    subject.require_members_refused({{"bias.npy", npy("<f4", "(999999999999999999,)", kFloats)}},
                                    {"bias has the shape (999999999999999999,)"});
    for (const char *shape : {"(2,)", "(1, 1)", "(0,)"}) {
        subject.require_members_refused({{"num_batches_tracked.npy", npy("<i8", shape, bytes_of<int64_t>({1, 2}))}},
                                        {std::string("num_batches_tracked has the shape ") + shape, "() or (1,)"});
    }
}

TEST_CASE("arrays of another type are refused with both types") {
    Subject subject;
    for (const char *type : {"<i4", "|O", "|f4", "=f4", "f4", "", "<", "<f44", "<f"}) {
        subject.require_members_refused(
            {{"weight.npy", npy(type, "(3,)", kDoubles)}},
            {std::string("weight is of type '") + type + "'", "float16, float32 or float64"});
    }
    subject.require_members_refused({{"running_var.npy", npy("<c8", "(3,)", kDoubles)}},
                                    {"running_var is of type '<c8'", "float16, float32 or float64"});
    subject.require_members_refused({{"num_batches_tracked.npy", npy("<u8", "()", kDoubles.substr(16))}},
                                    {"num_batches_tracked is of type '<u8'", "int64 or int32"});
    subject.require_members_refused(
        {{"bias.npy", npy_of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}", kFloats)}},
        {"bias is of type '[('a', '<f4')]'"});
}

TEST_CASE("counters that cannot count on are refused, loaded or saved") {
    Subject subject;
    int64_t *const batches = hnorm_layer_num_batches_tracked(subject.layer);
    for (int64_t value : {int64_t(-1), INT64_MIN, INT64_MAX}) {
        const std::string is = "num_batches_tracked is " + std::to_string(value) + ": it must be 0 or more";
        subject.require_members_refused({{"num_batches_tracked.npy", npy("<i8", "()", bytes_of<int64_t>({value}))}},
                                        {is});
        const std::string before = read_file(subject.path);
        *batches = value;
        require_refused(hnorm_layer_save(subject.layer, subject.path.c_str()), HNORM_INVALID_ARGUMENT, {is});
        REQUIRE(read_file(subject.path) == before);
        *batches = 1;
    }
    subject.require_members_refused({{"num_batches_tracked.npy", npy(">i4", "()", "\xff\xff\xff\xfe")}},
                                    {"num_batches_tracked is -2"});
}

TEST_CASE("members that are no .npy files are refused") {
    Subject subject;
    const auto refused = [&](const std::string &bytes, const std::vector<std::string> &words) {
        subject.require_members_refused({{"bias.npy", bytes}}, words);
    };
    refused("three floats", {"bias.npy is no .npy file"});
    refused("\x93NUMPY", {"bias.npy is of version 0", "1, 2 or 3"});
    refused(npy_of("{}", kFloats, 4), {"bias.npy is of version 4"});
    refused(std::string("\x93NUMPY\x01\x00\xff\xff{", 11), {"bias.npy ends in its header"});
    refused(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff{", 13), {"bias.npy ends in its header"});
    refused(npy("<f4", "(3,)", kFloats.substr(1)), {"bias.npy holds 11 instead of 12 bytes"});
    refused(npy("<f4", "(3,)", kFloats + "x"), {"bias.npy holds more than 12 bytes"});
    refused(npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}" + std::string(70000, ' '), kFloats, 2),
            {"bias.npy ends in its header"});
    const std::string descr = "'descr': '<f4', ", order = "'fortran_order': False, ", shape = "'shape': (3,), ";
    for (const std::string &dictionary : {std::string(),
                                          std::string("{"),
                                          std::string("{}"),
                                          "{" + descr + order + "}",
                                          "{" + descr + shape + "}",
                                          "{" + order + shape + "}",
                                          "{" + descr + descr + order + shape + "}",
                                          "{" + descr + order + shape + "'x': 1}",
                                          "{" + descr + order + shape + "} 1",
                                          descr + order + shape,
                                          "{" + descr + order + "'shape': (3,)",
                                          "{" + descr + order + "'shape': (3,",
                                          "{" + descr + order + "'shape': 3}",
                                          "{" + descr + order + "'shape': (-3,)}",
                                          "{" + descr + order + "'shape': (3.0,)}",
                                          "{" + descr + order + "'shape': (,)}",
                                          "{" + descr + order + "'shape': (3 3)}",
                                          "{" + descr + order + "'shape': (1000000000000000000000,)}",
                                          "{" + descr + "'fortran_order': 0, " + shape + "}",
                                          "{" + order + shape + "'descr': '<f4}",
                                          "{" + order + shape + "'descr': [}",
                                          "{" + order + shape + "'descr': 4}",
                                          "{" + order + shape + "'descr' '<f4'}",
                                          "{" + descr + " " + order + "'shape': (3,)" + std::string("\0}", 2)}) {
        refused(npy_of(dictionary, kFloats), {"bias.npy has the header", "descr, fortran_order and shape"});
    }
}
