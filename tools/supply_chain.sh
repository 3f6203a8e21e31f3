#!/usr/bin/env bash
# Dependencies held to deny.toml: licences, sources, bans, and known vulnerabilities where their list can be fetched.
# Installs cargo-deny below target/tools. Unused dependencies are warnings of the compiler (`unused_crate_dependencies`).
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
deny=target/tools/bin/cargo-deny
if [ "$("$deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
    echo "tools/supply_chain.sh: compiling cargo-deny $version"
    cargo install --quiet --locked --debug --force --root target/tools "cargo-deny@$version"
fi
"$deny" --locked --workspace check bans licenses sources
# The list of vulnerabilities lies in a git repository, which not every network reaches.
advisories=$(mktemp)
trap 'rm -f "$advisories"' EXIT
if ! "$deny" --locked --workspace check advisories 2>&1 | tee "$advisories"; then
    grep -q "failed to fetch advisory database" "$advisories" || exit 1
    echo "tools/supply_chain.sh: advisories NOT CHECKED: their list cannot be fetched from here"
fi
