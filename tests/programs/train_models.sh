#!/bin/sh
# train_models.sh TRAIN_VAE TRAIN_GAN TRAIN_FLOW SCRATCH: the programs give the documented exit codes with one line, and a training
# that was stopped and resumed ends with the same bytes as one that was not. Skips (77) without the data set.
set -eu
vae=$1 gan=$2 flow=$3 scratch=$4
data=/usr/share/datasets/fashion-mnist
[ -d $data ] || { echo "no $data: skipped"; exit 77; }
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
failed=0

expect() {   # expect CODE COMMAND...
    wanted=$1
    shift
    code=0
    "$@" >out.txt 2>err.txt || code=$?
    lines=$(grep -vc '^training: \|^evaluating: \|^Run with --help' err.txt || true)
    if [ $code != "$wanted" ] || [ "$lines" -gt 1 ]; then
        echo "$*: exit code $code, expected $wanted; it said:"
        cat err.txt
        failed=1
    fi
}

printf 'not a model' >bad.safetensors
for program in "$vae" "$gan" "$flow"; do
    expect 2 "$program" --no-such-option
    expect 2 "$program" --steps 0
    expect 5 "$program" no/such/folder
    expect 5 "$program" --steps 1 --resume
    expect 3 "$program" --load bad.safetensors
    expect 5 "$program" --load missing.safetensors
done
expect 2 "$vae" --steps 1 --architecture magic
expect 2 "$vae" --steps 1 --importance-weighted --beta 2
expect 2 "$gan" --steps 1 --loss magic
expect 2 "$gan" --steps 1 --loss hinge --real-label 0.9
expect 0 "$vae" --steps 1 --batch 4 --binarise --evaluate 4 --evaluation-draws 10 --importance-weighted --draws 2
grep -q 'nats, .* bits/dim (estimate)' out.txt
expect 0 "$vae" --steps 1 --batch 4 --architecture fully_connected --widths 16 --likelihood gaussian --evaluate 4
expect 0 "$gan" --steps 2 --batch 4 --width 4 --loss wasserstein --gradient-penalty 10 --critic-steps 2 --spectral-norm
cp gan.safetensors other.safetensors
expect 2 "$flow" --steps 1 --model magic
expect 2 "$flow" --steps 1 --temperature nan
expect 0 "$flow" rings --steps 2 --batch 8 --model ffjord --hidden 8 --evaluate 20
grep -q 'of 20 new points: .* nats' out.txt
expect 0 "$flow" $data --steps 1 --batch 4 --model realnvp --depth 1 --hidden 4 --evaluate 4
grep -q 'of 4 new pictures: .* bits/dim (bound)' out.txt
expect 2 "$flow" moons --load flow.safetensors
expect 3 "$vae" --load other.safetensors
expect 0 "$gan" --load other.safetensors

run() {   # run NAME PROGRAM FILE-OPTION OPTION...
    name=$1 program=$2 file=$3
    shift 3
    "$program" --steps 40 --batch 4 --save-every 1 --seed 3 "$file" "$name.safetensors" --output "$name.png" "$@" \
        >"$name.log" 2>&1
}

for program in "$vae --model --evaluate 0" "$gan --model --width 8" "$flow --file --hidden 8"; do
    # shellcheck disable=SC2086  # a program and its options
    set -- $program
    run whole "$@"
    run broken "$@" &
    child=$!
    tries=0
    while [ ! -f broken.safetensors.checkpoint ] && [ $tries -lt 600 ]; do sleep 0.05; tries=$((tries + 1)); done
    pkill -KILL -P $child || true
    wait $child 2>/dev/null || true
    [ ! -f broken.safetensors.checkpoint ] || run broken "$@" --resume --threads 1
    cmp whole.safetensors broken.safetensors
    cmp whole.png broken.png
    rm -f whole.* broken.*
done
exit $failed
