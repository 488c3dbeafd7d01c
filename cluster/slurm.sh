#!/usr/bin/env bash
# Sequence Tutor on Slurm: Ray over the machines of one allocation, and one run on it.
#
#   sbatch cluster/slurm.sh my.toml /shared/runs/mine [more options of `sequence-tutor optimize`]
#
# All machines see the run's directory and the environment that `sequence-tutor` is installed in;
# activate it before sbatch, or in SEQUENCE_TUTOR_ENV=/path/to/venv. When the time is up the run is
# stopped in order and the job queued again; whatever ended it, it goes on with what is there.
#SBATCH --job-name=sequence-tutor
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@180
#SBATCH --open-mode=append
#SBATCH --output=sequence-tutor-%j.log
set -euo pipefail

[[ $# -ge 2 ]] || { echo "usage: sbatch $0 CONFIG.toml RUN [options]" >&2; exit 2; }
config=$1 run=$2
shift 2
[[ -z ${SEQUENCE_TUTOR_ENV:-} ]] || PATH=$SEQUENCE_TUTOR_ENV/bin:$PATH

# Other users' processes may be on the same machines: nobody joins without the token, and two
# clusters share neither port nor directory. A path of Ray's must stay under 107 characters.
mkdir -p "$(dirname "$run")"
private=$(mktemp -d "$(dirname "$run")/.ray-$SLURM_JOB_ID.XXXX")
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$private/token RAY_TMPDIR=/tmp/ray-$SLURM_JOB_ID
(umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$RAY_AUTH_TOKEN_PATH")
# jobs may share a machine: each has two ports of its own
port=$((20000 + SLURM_JOB_ID % 6000 * 2))

mapfile -t machines < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
on() { # on MACHINE COMMAND...: a step on one machine; to be run as `$(on ...)` or `on ... &`
    exec srun --nodes=1 --ntasks=1 --nodelist="$1" --overlap --kill-on-bad-exit=0 "${@:2}"
}
head=$(on "${machines[0]}" hostname --ip-address | awk '{ print $1 }')
export RAY_ADDRESS=$head:$port

steps=()
# shellcheck disable=SC2329  # the trap calls it
finish() { # a step that ends takes its Ray processes with it
    kill "${steps[@]}" 2>/dev/null || true
    for ((i = 0; i < 20; i++)); do
        kill -0 "${steps[@]}" 2>/dev/null || break
        sleep 1
    done
    kill -KILL "${steps[@]}" 2>/dev/null || true
    rm -r "$private"
}
trap finish EXIT

cpus=${SLURM_CPUS_PER_TASK:-1}
on "${machines[0]}" ray start --head --block --node-ip-address="$head" --port="$port" \
    --ray-client-server-port="$((port + 1))" --num-cpus="$cpus" --temp-dir="$RAY_TMPDIR" --include-dashboard=false \
    --resources='{"steady": 1000}' &
steps+=($!)
# A worker gives up where there is no head yet; one that is late joins the run late.
for ((i = 0; ; i++)); do
    ! ray health-check --address "$RAY_ADDRESS" >/dev/null 2>&1 || break
    [[ $i -lt 60 ]] || { echo "error: no Ray on $RAY_ADDRESS after two minutes" >&2; exit 1; }
    sleep 2
done
for machine in "${machines[@]:1}"; do
    on "$machine" ray start --block --address="$RAY_ADDRESS" \
        --num-cpus="$cpus" --temp-dir="$RAY_TMPDIR" &
    steps+=($!)
done

resume=()
[[ ! -f $run/config.toml ]] || resume=(--resume)
sequence-tutor optimize "$config" --out "$run" "${resume[@]}" "$@" &
driver=$!
again=
trap 'again=yes; kill -TERM "$driver"' TERM
code=0
wait -n "$driver" "${steps[0]}" || code=$?
if [[ $again ]]; then # the wait ended with the signal, the run ends in its own time
    code=0
    wait "$driver" || code=$?
    [[ $code -ne 0 ]] || scontrol requeue "$SLURM_JOB_ID"
elif kill -0 "$driver" 2>/dev/null; then
    echo "error: Ray's head ended, exit code $code; submit again to go on" >&2
    kill -KILL "$driver"
    code=1
fi
exit "$code"
