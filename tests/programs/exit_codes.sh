#!/bin/sh
# exit_codes.sh SAMPLE_IMAGES TRAIN_DIFFUSION SCRATCH: what goes wrong gives the documented exit code, one line, and leaves
# old files alone.
set -eu
sample=$1 train=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
failed=0

expect() {   # expect CODE COMMAND...
    wanted=$1
    shift
    code=0
    "$@" >out.txt 2>err.txt || code=$?
    lines=$(grep -vc '^sampling: \|^training: \|^Run with --help' err.txt || true)
    if [ $code != "$wanted" ] || [ "$lines" -gt 1 ]; then
        echo "$*: exit code $code, expected $wanted; it said:"
        cat err.txt
        failed=1
    fi
}

printf 'not a model' >bad.safetensors
printf 'precious' >old.png
mkdir folder
expect 0 "$sample" --list-classes
expect 2 "$sample" --no-such-option
expect 2 "$sample" unicorn
expect 2 "$sample" --steps 0
expect 2 "$sample" --steps 2000
expect 2 "$sample" --eta 2
expect 2 "$sample" --cfg-scale nan
expect 2 "$sample" --sampling-method magic
expect 2 "$sample" --scheduler magic
expect 2 "$sample" --spacing magic
expect 2 "$sample" --threads 0
expect 3 "$sample" --model bad.safetensors
expect 3 "$sample" --model old.png
expect 5 "$sample" --model missing.safetensors
expect 5 "$sample" bag -b 1 --steps 1 -o no/such/folder/x.png
expect 5 "$train" no/such/folder
expect 3 "$train" folder
expect 2 "$train" --schedule magic
expect 0 "$sample" bag -b 1 --steps 2 -o fine.png
expect 0 "$sample" bag -b 1 --steps 2 -o again.png
expect 0 "$sample" bag -b 1 --steps 2 --sampling-method "DPM++ 2M Karras" -o other.png
cmp fine.png again.png
expect 0 "$sample" shirt -b 2 --steps 4 --negative bag --guidance-interval 0.2 0.8 -i fine.png --mask fine.png -o mix.png
expect 2 "$sample" --negative unicorn
expect 2 "$sample" --guidance-interval 0.8 0.2
expect 2 "$sample" --mask fine.png
expect 2 "$sample" --init-image fine.png --strength 0.001
expect 3 "$sample" --init-image bad.safetensors
expect 5 "$sample" --init-image missing.png
# A disk that is full after 32 kB: the old picture stays.
(ulimit -f 64; trap '' XFSZ; expect 5 "$sample" -b 40 --steps 1 -o old.png; exit $failed) || failed=1
[ "$(cat old.png)" = precious ]
[ -z "$(find . -name '*.tmp*' -o -name '.*tmp*' | head -n 1)" ]
exit $failed
