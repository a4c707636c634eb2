"""Makes all-minilm-l6-v2-256.bin, the table in the box (docs/adr/0058), of the sentence transformer all-MiniLM-L6-v2.

Needs the packages numpy, tokenizers and onnxruntime, the model as ONNX, and its tokenizer.json:

    python3 distil.py model.onnx tokenizer.json all-minilm-l6-v2-256.bin

Each piece of the vocabulary goes through the model alone; of the 384 principal components of the results, the first is left out, which all texts
share, and the next 256 are kept; pieces count less the more frequent they are (smooth inverse frequency; the vocabulary is ordered by it).
"""

import sys

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

DIMENSIONS = 256
# The first piece that is no mark of the model's own.
FIRST = 999
CLS, SEP = 101, 102
SMOOTHING = 3e-5

model, tokenizer, output = sys.argv[1:]
vocabulary = Tokenizer.from_file(tokenizer).get_vocab()
pieces = sorted(vocabulary, key=vocabulary.get)[FIRST:]
session = onnxruntime.InferenceSession(model)
vectors = []
for start in range(FIRST, FIRST + len(pieces), 512):
    ids = np.array([[CLS, piece, SEP] for piece in range(start, min(start + 512, FIRST + len(pieces)))])
    hidden = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)})[0]
    vectors.append(hidden.mean(axis=1))
vectors = np.concatenate(vectors)
vectors -= vectors.mean(axis=0)
_, _, components = np.linalg.svd(vectors, full_matrices=False)
# Zipf's law: the frequency of a piece by its rank.
frequency = 1 / (np.arange(len(pieces)) + 2)
frequency /= frequency.sum()
weight = SMOOTHING / (SMOOTHING + frequency)
vectors = (vectors @ components.T * weight[:, None])[:, 1 : 1 + DIMENSIONS]

# Pieces in the order of their bytes, so that they are found without building an index at each start.
names = [piece.encode() for piece in pieces]
order = sorted(range(len(pieces)), key=lambda place: names[place])
scale = np.abs(vectors).max(axis=1).clip(1e-12) / 127
rows = np.round(vectors / scale[:, None]).astype(np.int8)
with open(output, "wb") as file:
    file.write(b"EAT1" + np.array([len(pieces), DIMENSIONS], "<u4").tobytes())
    ends = np.cumsum([0] + [len(names[place]) for place in order])
    file.write(ends.astype("<u4").tobytes())
    file.write(scale[order].astype("<f4").tobytes())
    file.write(rows[order].tobytes())
    file.write(b"".join(names[place] for place in order))
