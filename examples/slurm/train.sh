#!/bin/bash
# A training that is stopped and started again until it is complete, once for each seed:
#
#     sbatch --job-name=hopper examples/slurm/train.sh Hopper-v5
#
#SBATCH --array=0-4                   # the seeds
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120           # to this shell, two minutes before the time is up
#SBATCH --requeue                     # again after a preemption or the failure of a node
#SBATCH --open-mode=append            # one log for all starts
#SBATCH --output=%x-%A_%a.log

seed=${SLURM_ARRAY_TASK_ID:-0}
name=${SLURM_JOB_NAME:-lerax}-$seed

left=$((SLURM_JOB_END_TIME - $(date +%s)))

# Not with srun: a SIGTERM makes it kill what it has started.
lerax train --name "$name" --seed "$seed" --resume auto --time-limit $((left - 300))s "$@" &
training=$!
trap 'kill -USR1 "$training"' USR1    # saves, and goes on
trap : TERM                           # lerax gets its own; this shell stays until all is saved

while kill -0 "$training" 2>/dev/null; do
    wait "$training"                  # which a trap ends early
done
wait "$training"
code=$?

if [ "$code" = 0 ] && grep -q '^  "status": "paused"' "logs/$name/run.json"; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
