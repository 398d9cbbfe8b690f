# Sourced by the other scripts: repository root as the working directory, cargo on PATH, the shared cache folder.
set -eu
CDPATH= cd "$(dirname "$0")/.."
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME
PATH="$HOME/.cargo/bin:$PATH"
# As kinstr itself does: a relative XDG_CACHE_HOME is ignored.
case "${XDG_CACHE_HOME:-}" in
  /*) cache="$XDG_CACHE_HOME/kinstr" ;;
  *) cache="$HOME/.cache/kinstr" ;;
esac
venv="$cache/venv"
llvm=/usr/lib/llvm-22/bin
