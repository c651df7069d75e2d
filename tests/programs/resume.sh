#!/bin/sh
# resume.sh TRAIN_DIFFUSION SCRATCH: a training that was killed (or asked to stop) and resumed must end with the same bytes
# as one that was not. Skips (77) where the data set is not installed.
set -eu
train=$1 scratch=$2
data=/usr/share/datasets/fashion-mnist
[ -d $data ] || { echo "no $data: skipped"; exit 77; }
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"

run() {   # run NAME OPTION...
    name=$1
    shift
    "$train" $data --steps 14 --batch 4 --width 16 --mults 1 2 --attention 7 --save-every 1 --seed 3 \
        --output "$name.safetensors" --samples "$name.png" "$@" >"$name.log" 2>&1
}

run whole
for signal in KILL KILL KILL INT; do
    run broken &
    program=$!
    # Somewhere between the first checkpoint and the end.
    tries=0
    while [ ! -f broken.safetensors.checkpoint ] && [ $tries -lt 600 ]; do sleep 0.05; tries=$((tries + 1)); done
    sleep 0.$((program % 10))
    # The shell's child is a subshell: the signal is for the program below it.
    pkill -$signal -P $program || kill -$signal $program 2>/dev/null || true
    wait $program 2>/dev/null || true
    if [ -f broken.safetensors.checkpoint ]; then
        run broken --resume --threads 1
    fi
    cmp whole.safetensors broken.safetensors
    cmp whole.png broken.png
    [ ! -f broken.safetensors.checkpoint ]
    rm -f broken.*
done
echo "killed and resumed: the same bytes"
