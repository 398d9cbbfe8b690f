# Sourced by the other scripts: repository root as the working directory, cargo on PATH, the shared cache folder.
set -eu
CDPATH= cd "$(dirname "$0")/.."
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME
PATH="$HOME/.cargo/bin:$PATH"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/kinstr"
venv="$cache/venv"
llvm=/usr/lib/llvm-22/bin
