#!/bin/sh
# The main job on embedded data, then the model just made and the released one at work.
set -eu
seqpipe=.venv/bin/seqpipe

"$seqpipe" run pipelines/quickstart.yaml
echo
echo "The model just made:"
"$seqpipe" predict quickstart \
    "The acting is superb, and I would watch it again." \
    "The start is promising, but in the end it was a waste of time." \
    "The cook is not at all great."
if [ -d saved_models/sentiment_en ]; then
    echo
    echo "The released model sentiment_en, trained on film reviews:"
    "$seqpipe" predict sentiment_en \
        "One of the most moving films I have seen in years." \
        "Two hours of my life that I will never get back." \
        "The plot makes little sense, yet I could not look away."
fi
cat <<'TEXT'

Next: your own data, a CSV with the columns text and label:
  .venv/bin/seqpipe run pipelines/my_text.yaml --set data.train=files:mine.csv
TEXT
