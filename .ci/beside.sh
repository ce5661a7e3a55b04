# Read by image.sh and nix.sh: what runs beside other work, in a process group of its own so that all of it can be ended.

# begin_beside LOG COMMAND...: sets beside_pid
begin_beside() {
    local log=$1
    shift
    set -m
    "$@" >"$log" 2>&1 &
    beside_pid=$!
    set +m
}

# end_beside PID: whatever has become of it; nothing where PID is empty. Nothing here may change how the run has ended.
end_beside() {
    if [ -z "$1" ]; then return 0; fi
    kill -- "-$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}
