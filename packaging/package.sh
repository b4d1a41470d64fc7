# ./dev package, which reads this file: root, venv and its functions are those of dev.
# shellcheck shell=bash disable=SC2154

# make_packages SOURCE WORK OUT: of $architecture, with the kernels of the preset's build
make_packages() {
    quietly "making the packages for $architecture in ${3#"$root"/}" "package-$architecture" "$1/packaging/make" "$architecture" \
        "$root/build/release/bin" "$build/generators/kernels" "$2" "$3"
}

# The same from a copy of the sources in another folder, as another user in another place might have it.
check_packages() {
    local -r copy=$root/build/package-again-$architecture file_list=$root/build/package-files
    rm -rf "$copy"
    mkdir -p "$copy/source"
    git -C "$root" ls-files -z --cached --others --exclude-standard >"$file_list"
    tar -C "$root" --null -T "$file_list" --ignore-failed-read -c | tar -C "$copy/source" -x
    ln -s "$venv" "$copy/source/.venv"
    (umask 027 && TZ=Asia/Tokyo make_packages "$copy/source" "$copy/work" "$copy/packages")
    local file
    for file in "$copy"/packages/*; do
        cmp "$file" "$packages/${file##*/}" || die "the packages of one commit differ: diffoscope shows how"
    done
    say "made twice, in two folders: all $(find "$copy/packages" -type f | wc -l) files have the same bytes"
}

# test_packages SCRIPT: 77 is its exit status where it cannot run, and says why
test_packages() {
    local status=0
    "$root/tests/packages/$1" "$packages" "$root/build/package-tests-$architecture" || status=$?
    [ $status = 0 ] || [ $status = 77 ] || die "the packages for $architecture do not work: see above"
}

# package [--target arm-64] [--check] [--test]
package() {
    local architecture=x86-64 debian=amd64 check='' try='' missing version files
    local -r packages=$root/build/packages
    while [ $# -gt 0 ]; do
        case $1 in
            --target)
                [ "${2-}" = arm-64 ] || die "package --target takes arm-64, not: ${2-nothing}"
                architecture=arm-64 debian=arm64
                shift
                ;;
            --check) check=1 ;;
            --test) try=1 ;;
            *) die "package takes --target arm-64, --check and --test, not: $1" ;;
        esac
        shift
    done
    mapfile -t missing < <(missing_packages dpkg-dev lintian)
    [ ${#missing[@]} = 0 ] || install "${missing[@]}" || die "packages cannot be made without them"
    if [ "$architecture" = arm-64 ]; then
        install_arm_tools || die "target arm-64 cannot be built without them"
        build_for_arm hnorm_kernels
    else
        use_preset release
        build_targets hnorm_generators hnorm_kernels hnorm_device_kernels
    fi
    install_more package "$root/packaging/requirements.lock"

    [ -z "$(git -C "$root" status --porcelain)" ] ||
        say "the sources have changes that are in no commit: nobody can repeat these packages"
    SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct) HNORM_MAINTAINER=$(git -C "$root" log -1 --format='%an <%ae>')
    export SOURCE_DATE_EPOCH HNORM_MAINTAINER
    rm -f "$packages"/*"_$debian.deb" "$packages"/*"-$architecture".*
    make_packages "$root" "$root/build/package-$architecture" "$packages"
    version=$(sed -n 's/^CMAKE_PROJECT_VERSION:[A-Z]*=//p' "$root/build/package-$architecture/build/CMakeCache.txt")
    files=("$packages"/*"_$debian.deb" "$packages/hnorm-$version-linux-$architecture.tar.gz")
    "$venv/bin/python" "$root/packaging/sbom.py" "$packages/hnorm-$version-linux-$architecture.cdx.json" "$version" "$architecture" \
        "$(git -C "$root" rev-parse HEAD)" "${files[@]}"
    (cd "$packages" && rm -f SHA256SUMS && LC_ALL=C && sha256sum -- * >../SHA256SUMS && mv ../SHA256SUMS .)
    # CPack runs ldconfig, which Debian's trigger does as well.
    lintian --allow-root --fail-on error --tag-display-limit 0 --suppress-tags maintscript-calls-ldconfig \
        "$packages"/*"_$debian.deb" || die "lintian finds the errors above"
    [ -z "$check" ] || check_packages
    if [ -n "$try" ]; then
        if [ "$architecture" = arm-64 ]; then test_packages on_arm; else test_packages on_debian; fi
    fi
    say "packages: build/packages"
}
