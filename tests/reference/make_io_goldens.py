#!/usr/bin/env python3
"""Makes tests/golden/io/python.safetensors with the Python package, and checks with it the file that genmod wrote
(tests/golden/io/genmod.safetensors; tests/io/safetensors_writer_test.cpp says what it holds)."""
import pathlib

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

folder = pathlib.Path(__file__).resolve().parent.parent / "golden" / "io"
names = {"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
         "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1"}
numbers = np.arange(6).reshape(2, 3) * 20 + 1

tensors = {name: numbers.astype(kind) for name, kind in names.items()}
tensors["BOOL"] = np.array([True, False])
tensors["scalar"] = np.array(2.5, dtype="f4")
tensors["empty"] = np.zeros((0, 4), dtype="f4")
save_file(tensors, folder / "python.safetensors", metadata={"note": "café"})

with safe_open(folder / "genmod.safetensors", "numpy") as file:
    assert file.metadata()["note"] == 'café "quoted"\n', file.metadata()
    for name in names:
        found = file.get_tensor(name)
        assert found.dtype == names[name] and (found == numbers).all(), (name, found)
    assert file.get_slice("BF16").get_dtype() == "BF16"
    assert file.get_tensor("scalar").shape == () and file.get_tensor("scalar") == 2.5
    assert file.get_tensor("empty").shape == (0, 4)
print("ok")
