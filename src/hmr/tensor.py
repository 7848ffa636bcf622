"""The type of tensors in annotations."""

from typing import Any

# A tensor or array of whichever backend Keras runs on; shapes are in the docstrings.
Tensor = Any
