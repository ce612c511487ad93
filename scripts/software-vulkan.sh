#!/usr/bin/env bash
# Puts a Vulkan device that computes on the CPU into a folder, without installing anything, so that programs on WebGPU run on machines
# without a graphics card: SwiftShader and its loader from Debian's package chromium-common (27 MB). Prints the settings to run with:
#   settings=$(scripts/software-vulkan.sh FOLDER) && env $settings npm run test:webgpu
# Says why on standard error, and fails, where it cannot be had.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
fail() {
  echo "No software Vulkan device: $1." >&2
  exit 1
}

driver=usr/lib/chromium
if [ ! -f "$folder/$driver/vk_swiftshader_icd.json" ]; then
  [ "$(uname -sm)" = "Linux x86_64" ] || fail "the package is for Linux on x86-64"
  { command -v apt-get && command -v dpkg-deb; } >/dev/null || fail "apt-get and dpkg-deb are needed"
  download=$(mktemp -d)
  trap 'rm -rf "$download"' EXIT
  fetch() { (cd "$download" && timeout 90 apt-get -qq download chromium-common >/dev/null 2>"$download/error"); }
  # Package lists may be missing, or older than what the server holds.
  fetch || { timeout 60 apt-get -qq update >/dev/null 2>&1 && fetch; } || fail "chromium-common cannot be downloaded ($(tail -n 1 "$download/error" 2>/dev/null))"
  dpkg-deb --fsys-tarfile "$download"/chromium-common_*.deb |
    tar -x -C "$folder" "./$driver/libvk_swiftshader.so" "./$driver/libvulkan.so.1" "./$driver/vk_swiftshader_icd.json" ||
    fail "chromium-common does not hold SwiftShader"
fi
echo "LD_LIBRARY_PATH=$folder/$driver VK_ICD_FILENAMES=$folder/$driver/vk_swiftshader_icd.json"
