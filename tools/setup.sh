#!/usr/bin/env bash
# Installs what the tests need beyond Rust, where it is missing: a linker, the Vulkan loader and a Vulkan driver
# (Mesa's software one), Python's pip. Debian and Ubuntu, as root or with sudo; elsewhere it says what to install.
# Fetches the ONNX backend tests into target/.
set -euo pipefail
cd "$(dirname "$0")/.."

# The wheel's data is the same on every platform, so any platform's wheel will do.
suite=target/onnx-1.19.1
fetch_suite() {
    [ ! -d "$suite/onnx/backend/test/data/node" ] || return 0
    local download=target/onnx-download
    rm -rf "$download" "$suite"
    mkdir -p "$download"
    echo "tools/setup.sh: fetching the ONNX backend tests"
    if python3 -m pip --disable-pip-version-check download --quiet --no-deps --only-binary=:all: --python-version 3.11 \
        --platform manylinux2014_x86_64 --dest "$download" onnx==1.19.1 &&
        python3 -m zipfile -e "$download"/onnx-1.19.1-*.whl "$download/unpacked"; then
        mv "$download/unpacked" "$suite"
    else
        echo "tools/setup.sh: could not fetch them; the conformance tests will be SKIPPED. By hand: pip download onnx==1.19.1, unzip it into $suite" >&2
    fi
    rm -rf "$download"
}

# Windows has DirectX 12 and macOS has Metal.
if [ "$(uname -s)" != Linux ]; then
    fetch_suite
    exit 0
fi

has_loader() {
    local loaders
    loaders=$(ldconfig -p 2>/dev/null; compgen -G '/usr/lib*/libvulkan.so.1'; compgen -G '/usr/lib/*/libvulkan.so.1') || true
    [[ $loaders == *libvulkan.so.1* ]]
}

# A software driver works anywhere; the driver of a GPU only where its device is.
has_driver() {
    [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] || return 0
    local manifests
    manifests=$(compgen -G '/usr/share/vulkan/icd.d/*.json'; compgen -G '/usr/local/share/vulkan/icd.d/*.json'; compgen -G '/etc/vulkan/icd.d/*.json') || true
    case $manifests in
        '') return 1 ;;
        *lvp_icd*) return 0 ;;
        *) compgen -G '/dev/dri/renderD*' || compgen -G '/dev/nvidia[0-9]*' ;;
    esac >/dev/null
}

packages=()
command -v cc >/dev/null || packages+=(gcc libc6-dev)
has_loader || packages+=(libvulkan1)
has_driver || packages+=(mesa-vulkan-drivers)
[ -d "$suite" ] || python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
if [ ${#packages[@]} -eq 0 ]; then
    fetch_suite
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null && as_root=(sudo)
fi
if ! command -v apt-get >/dev/null || { [ "$(id -u)" -ne 0 ] && [ ${#as_root[@]} -eq 0 ]; }; then
    echo "tools/setup.sh: missing here, by the names that Debian has for them: ${packages[*]}" >&2
    echo "tools/setup.sh: install them (Fedora: vulkan-loader mesa-vulkan-drivers; Arch: vulkan-icd-loader vulkan-swrast) and run again" >&2
    exit 1
fi

echo "tools/setup.sh: installing ${packages[*]}"
install() {
    "${as_root[@]+"${as_root[@]}"}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
}
install update
install install -y --no-install-recommends "${packages[@]}" >/dev/null
fetch_suite
