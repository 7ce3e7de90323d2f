#!/usr/bin/env bash
# From nothing to a comparison, without a network: the nursery's text, an English baby and an Italian parent trained
# from scratch, two conditions that hear the same batches, evaluation, comparison. About an hour on two CPU cores;
# LINES, STEPS and MORE (settings for every training) make it smaller.
#
#   bash examples/offline.sh FOLDER
set -euo pipefail
cd "${1:?usage: bash examples/offline.sh FOLDER}"
LINES="${LINES:-100000}" STEPS="${STEPS:-324}"
read -r -a more <<< "${MORE:-}"

for lang in en it; do
    bambino nursery --lang "$lang" --lines "$LINES" --out "$lang.txt"
done
mkdir -p tests
for lang in en it; do
    bambino nursery --lang "$lang" --pairs 20 --out "tests/pairs-$lang.jsonl"
done

bambino pretrain pretrain-small --text.sources '[en.txt]' --output_dir runs/english-baby "${more[@]}"
bambino pretrain pretrain-small --text.sources '[it.txt]' --output_dir runs/italian-parent "${more[@]}"

common=(--baby.model runs/english-baby/model --parent.model runs/italian-parent/model --text.sources '[it.txt]'
        --text.min_chars 1 --evaluation.texts '{it: [it.txt], en: [en.txt]}')
bambino train real-small "${common[@]}" --max_steps "$STEPS" --output_dir runs/bambino "${more[@]}"
bambino train real-small "${common[@]}" --max_steps "$((STEPS * 10 / 12))" --output_dir runs/clm \
    --schedule.cycle '{clm: 1}' "${more[@]}"

bambino evaluate runs/english-baby --data tests --output_dir results/untrained
bambino evaluate runs/bambino --data tests --untrained results/untrained
bambino evaluate runs/clm --data tests --untrained results/untrained
bambino compare runs/clm runs/bambino
