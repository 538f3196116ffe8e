#!/bin/bash
# Train on several machines of a Slurm cluster:  sbatch docs/slurm.sh
#SBATCH --job-name=hglib
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1      # one torchrun for each machine; it starts the processes there
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=01:00:00
#SBATCH --signal=TERM@60         # a minute before the time is up: save a checkpoint and stop
#SBATCH --requeue                # after a machine has failed, the job is started again

set -euo pipefail

DATA=${DATA:-synthetic}          # a folder that every machine sees
OUT=${OUT:-runs/cluster}         # likewise: all of them read the checkpoint to resume from
GPUS=${SLURM_GPUS_ON_NODE:-4}

# The machines find each other at the first one of the list.
FIRST=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# --resume goes on from the last checkpoint if there is one, and starts afresh if there is none.
srun torchrun \
    --nnodes "$SLURM_NNODES" \
    --nproc-per-node "$GPUS" \
    --rdzv-id "$SLURM_JOB_ID" \
    --rdzv-backend c10d \
    --rdzv-endpoint "$FIRST:29500" \
    --max-restarts 3 \
    -m hglib train --data "$DATA" --out "$OUT" --resume --batch 256 --epochs 30
